/** What `svc-comm --help` prints, as text, so that it needs no parser: a test keeps it equal to the commands that exist. */
export const HELP = `Usage: svc-comm [options] [command]

Services that talk over RabbitMQ, with an outbox and an inbox in PostgreSQL.

Options:
  -V, --version               print the version
  -c, --config <file>         settings file, else the nearest svc-comm.config.*
  --json                      print results, errors and logs as JSON
  --no-wait                   fail when broker or database is down
  --log-level <level>         debug, info, warn, error or silent
  -h, --help                  print this help

Commands:
  runconsumer                 handle messages with the consumers of this project
  devconsumer                 the same, started anew when a file changes
  runpublisher                move events from the outbox to the broker
  devpublisher                the same, started anew when a file changes
  dev                         run all of this in one process, without servers
  checkpublisher              fail when too many events wait, or for too long
  runworker                   run tasks, each in a process
  devworker                   the same, started anew when a file changes
  serve                       serve tasks and processes over HTTP, with
                              documentation
  docs                        build the documentation as files
  migrate                     create or update the tables; safe to run again
  doctor                      say what is wrong, from settings to queues, and
                              what to do
  demo                        show two services at work, on embedded servers
  broker                      run the embedded AMQP broker, for tests
  explain <exchange> <key>    say which consumer takes a message, and why
  send <service> [command]    send a command to a service
  call <service> <method>     ask a service and print its answer
  publish <aggregate> <type>  publish an event at once
  watch <exchange> [pattern]  print what passes an exchange
  services                    say who is there, and who listens to what
  dlq                         look at dead letters, put them back, drop them
  future                      look at future events, cancel them
  task                        run tasks, look at them, end them
  process                     look at processes, create instances, end them
  help [command]              display help for command
`;
