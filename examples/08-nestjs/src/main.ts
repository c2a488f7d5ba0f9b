import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { expressCorrelation } from 'svc-comm';
import { MessagingModule } from './messaging.ts';
import { Orders, OrdersController } from './orders.ts';

@Module({ imports: [MessagingModule], controllers: [OrdersController], providers: [Orders] })
class AppModule {}

const app = await NestFactory.create(AppModule);
app.use(expressCorrelation());
// SIGTERM and SIGINT run the hooks of messaging.ts.
app.enableShutdownHooks();
await app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
console.log(`listening on ${await app.getUrl()}`);
