-- What is known of messages that came back: runs that began alone in their process and never ended, and whether the
-- process that had it last gave it back in good order. A row is written before the handler and deleted after it.
CREATE TABLE :schema.svc_comm_start_mark (
  queue text NOT NULL,
  source text NOT NULL,
  message_id text NOT NULL,
  starts integer NOT NULL DEFAULT 0,
  is_returned boolean NOT NULL DEFAULT false,
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (queue, source, message_id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
