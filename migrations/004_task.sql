-- What was asked of tasks, and what became of it. A row's state only moves forward; the last one is for ever.
CREATE TABLE :schema.svc_comm_task (
  id uuid PRIMARY KEY,
  name text NOT NULL,
  state text NOT NULL DEFAULT 'PENDING'
    CHECK (state IN ('PENDING', 'STARTED', 'SUCCESS', 'FAILURE', 'TIMEOUT', 'REVOKED', 'LOST')),
  args text NOT NULL,
  result text,
  -- JSON: name, message, code, reason
  error text,
  -- the end of what the run printed
  log text,
  -- Counts the starts, and fences them: what a run writes is for its own attempt only.
  attempt integer NOT NULL DEFAULT 0,
  -- runs that failed, and runs whose worker was lost
  failures integer NOT NULL DEFAULT 0,
  losses integer NOT NULL DEFAULT 0,
  hand_overs integer NOT NULL DEFAULT 1,
  -- the worker that runs it, until its lease has run out
  owner uuid,
  lease_until timestamptz,
  cancel_requested boolean NOT NULL DEFAULT false,
  -- whether it keeps its slot while it waits
  holds_slot boolean NOT NULL DEFAULT false,
  progress double precision,
  note text,
  submitter text NOT NULL DEFAULT '',
  idempotency_key text,
  correlation_id text,
  traceparent text,
  -- the broker's queue that its message goes to
  queue text NOT NULL,
  result_ttl_ms double precision NOT NULL,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  due_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  started_at timestamptz,
  finished_at timestamptz,
  expires_at timestamptz
) WITH (
  fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0
);

CREATE UNIQUE INDEX svc_comm_task_idempotency ON :schema.svc_comm_task (name, submitter, idempotency_key)
  WHERE idempotency_key IS NOT NULL;
CREATE INDEX svc_comm_task_name ON :schema.svc_comm_task (name, created_at, id);
CREATE INDEX svc_comm_task_waiting ON :schema.svc_comm_task (due_at, id) WHERE state = 'PENDING';
CREATE INDEX svc_comm_task_running ON :schema.svc_comm_task (owner) WHERE state = 'STARTED';
CREATE INDEX svc_comm_task_expired ON :schema.svc_comm_task (expires_at) WHERE expires_at IS NOT NULL;

-- The places of tasks with a limit: a run has one, and so many are there as may run at once.
CREATE TABLE :schema.svc_comm_task_slot (
  name text NOT NULL,
  n integer NOT NULL,
  task_id uuid,
  PRIMARY KEY (name, n)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

CREATE INDEX svc_comm_task_slot_task ON :schema.svc_comm_task_slot (task_id) WHERE task_id IS NOT NULL;

-- Sends a task's message with the transaction that it is called in, now or when it is due.
-- Spread over the partitions by the task, since the messages of all tasks go to one exchange, the default one.
CREATE FUNCTION :schema.svc_comm_task_send(task uuid, queue text, due timestamptz) RETURNS integer LANGUAGE plpgsql AS $$
BEGIN
  IF due > clock_timestamp() THEN
    INSERT INTO :schema.svc_comm_future (due_at, tags, message_id, exchange, routing_key, body)
    VALUES (due, jsonb_build_object('svcCommTask', task::text), gen_random_uuid(), '', queue,
      '{"taskId":"' || task || '"}');
  ELSE
    INSERT INTO :schema.svc_comm_outbox (part, message_id, exchange, routing_key, body)
    VALUES (hashtext(task::text) & 63, gen_random_uuid(), '', queue, '{"taskId":"' || task || '"}');
  END IF;
  RETURN 1;
END
$$;
