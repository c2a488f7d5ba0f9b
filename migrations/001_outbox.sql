-- What waits for the broker: events, commands, call replies. A row leaves by a delete after the broker's confirm.
CREATE TABLE :schema.svc_comm_outbox (
  -- CACHE 1: with the key locks of the enqueue, id order is commit order within a key.
  id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
  -- hashtext(coalesce(order_key, exchange)) & 63
  part smallint NOT NULL,
  order_key text,
  message_id uuid NOT NULL,
  exchange text NOT NULL,
  routing_key text NOT NULL,
  body text NOT NULL,
  -- JSON of the AMQP properties that are not the defaults; NULL when all are
  properties text,
  app_id text,
  expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  attempts integer NOT NULL DEFAULT 0,
  next_attempt_at timestamptz,
  last_error text
) WITH (
  -- Rows live for milliseconds: vacuum by count, not by a share of a table that is mostly empty.
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000, autovacuum_vacuum_cost_delay = 0,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 100000,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000,
  toast.autovacuum_vacuum_scale_factor = 0, toast.autovacuum_vacuum_threshold = 10000, toast.autovacuum_vacuum_cost_delay = 0
);

-- Rows that back off hold back the later ones of their key; nearly always empty.
CREATE INDEX svc_comm_outbox_backoff ON :schema.svc_comm_outbox (part, order_key, id) WHERE next_attempt_at IS NOT NULL;

-- What becomes due later. Promotion and cancel both delete here, so each row is promoted or cancelled, never both.
CREATE TABLE :schema.svc_comm_future (
  id bigint GENERATED ALWAYS AS IDENTITY (CACHE 1) PRIMARY KEY,
  due_at timestamptz NOT NULL,
  tags jsonb NOT NULL DEFAULT '{}',
  order_key text,
  message_id uuid NOT NULL,
  exchange text NOT NULL,
  routing_key text NOT NULL,
  body text NOT NULL,
  properties text,
  app_id text,
  expires_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX svc_comm_future_due ON :schema.svc_comm_future (due_at, id);
CREATE INDEX svc_comm_future_route ON :schema.svc_comm_future (exchange, routing_key);
CREATE INDEX svc_comm_future_tags ON :schema.svc_comm_future USING gin (tags jsonb_path_ops);

-- The right to relay a partition for a time; the epoch counts its owners and fences their writes.
CREATE TABLE :schema.svc_comm_relay_lease (
  part smallint PRIMARY KEY,
  owner uuid,
  epoch bigint NOT NULL DEFAULT 0,
  until timestamptz NOT NULL DEFAULT '-infinity',
  -- The owner waits for a notification instead of reading.
  parked boolean NOT NULL DEFAULT false
) WITH (fillfactor = 30, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500, autovacuum_vacuum_cost_delay = 0);

INSERT INTO :schema.svc_comm_relay_lease (part) SELECT generate_series(0, 63);

-- Relays that live, so that each takes a fair share of the partitions.
CREATE TABLE :schema.svc_comm_relay (
  owner uuid PRIMARY KEY,
  until timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- Under repeatable read and serializable the snapshot may be older than the flag, so those always notify.
CREATE FUNCTION :schema.svc_comm_outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('svc_comm_wake', coalesce(l.owner::text, ''))
    FROM (SELECT DISTINCT part FROM new_rows) n
    JOIN :schema.svc_comm_relay_lease l USING (part)
   WHERE l.parked OR current_setting('transaction_isolation') <> 'read committed';
  RETURN NULL;
END
$$;

-- For each statement, not for each row: many events of a transaction are one statement.
CREATE TRIGGER svc_comm_outbox_wake AFTER INSERT ON :schema.svc_comm_outbox
  REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION :schema.svc_comm_outbox_wake();
