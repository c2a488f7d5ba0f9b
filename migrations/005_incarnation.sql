-- Empty after a crash of the server and on a promoted standby, since it is unlogged: then transaction ids that were never
-- flushed may be given again, and what pg_xact_status says of one may be about another transaction.
CREATE UNLOGGED TABLE :schema.svc_comm_incarnation (
  one boolean PRIMARY KEY DEFAULT true CHECK (one),
  token uuid NOT NULL DEFAULT gen_random_uuid()
);
