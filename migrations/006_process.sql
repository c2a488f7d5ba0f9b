-- One row for each instance of a process. `New` while its server works through the synchronous tasks, under a lease;
-- then it moves with its asynchronous tasks. The last three states are for ever.
CREATE TABLE :schema.svc_comm_process_instance (
  id uuid PRIMARY KEY,
  process text NOT NULL,
  state text NOT NULL DEFAULT 'New' CHECK (state IN ('New', 'Running', 'Complete', 'Failed', 'Cancelled')),
  -- JSON: the request that created it
  request text NOT NULL,
  -- SHA-256 of process and body as they came: the same id again is the same instance when this is the same
  fingerprint text NOT NULL,
  submitter text NOT NULL DEFAULT '',
  -- the server that runs it while it is New
  owner uuid,
  lease_until timestamptz,
  cancel_requested boolean NOT NULL DEFAULT false,
  created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  finished_at timestamptz
);

CREATE INDEX svc_comm_process_instance_process ON :schema.svc_comm_process_instance (process, created_at, id);
CREATE INDEX svc_comm_process_instance_lease ON :schema.svc_comm_process_instance (lease_until) WHERE state = 'New';
CREATE INDEX svc_comm_process_instance_finished ON :schema.svc_comm_process_instance (finished_at)
  WHERE finished_at IS NOT NULL;

-- Its steps. Those of the kind sync are run by the server, those of the kind async are tasks.
CREATE TABLE :schema.svc_comm_process_task (
  instance_id uuid NOT NULL REFERENCES :schema.svc_comm_process_instance ON DELETE CASCADE,
  kind text NOT NULL CHECK (kind IN ('sync', 'async')),
  position integer NOT NULL,
  name text NOT NULL,
  -- JSON: what it is called with after the request
  args text NOT NULL,
  -- WAITING: its turn has not come. SKIPPED: it will never. The others are those of tasks.
  status text NOT NULL DEFAULT 'WAITING'
    CHECK (status IN ('WAITING', 'PENDING', 'STARTED', 'SUCCESS', 'FAILURE', 'TIMEOUT', 'REVOKED', 'LOST', 'SKIPPED')),
  result text,
  error text,
  -- of an asynchronous one: known before it is submitted
  task_id uuid,
  due_at timestamptz,
  started_at timestamptz,
  finished_at timestamptz,
  PRIMARY KEY (instance_id, kind, position)
);

CREATE UNIQUE INDEX svc_comm_process_task_task ON :schema.svc_comm_process_task (task_id) WHERE task_id IS NOT NULL;

ALTER TABLE :schema.svc_comm_task ADD COLUMN process_instance uuid;
CREATE INDEX svc_comm_task_process ON :schema.svc_comm_task (process_instance) WHERE process_instance IS NOT NULL;

-- Tells the instance of its task, in the transaction that changes the task. Two tasks of an instance that end at the same
-- time: the lock lets the second see what the first wrote, since each statement of a function has a snapshot of its own.
CREATE FUNCTION :schema.svc_comm_process_follow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  UPDATE :schema.svc_comm_process_task SET status = NEW.state, result = NEW.result,
    error = CASE WHEN NEW.finished_at IS NULL THEN NULL ELSE NEW.error END,
    due_at = NEW.due_at, started_at = NEW.started_at, finished_at = NEW.finished_at
   WHERE task_id = NEW.id;
  IF NEW.state NOT IN ('PENDING', 'STARTED') THEN
    PERFORM FROM :schema.svc_comm_process_instance WHERE id = NEW.process_instance FOR UPDATE;
    UPDATE :schema.svc_comm_process_instance i SET finished_at = clock_timestamp(), state = (
      SELECT CASE WHEN bool_or(t.status IN ('FAILURE', 'TIMEOUT', 'LOST')) THEN 'Failed'
        WHEN bool_or(t.status = 'REVOKED') THEN 'Cancelled' ELSE 'Complete' END
        FROM :schema.svc_comm_process_task t WHERE t.instance_id = i.id AND t.kind = 'async')
     WHERE i.id = NEW.process_instance AND i.state = 'Running' AND NOT EXISTS (
      SELECT FROM :schema.svc_comm_process_task t
       WHERE t.instance_id = i.id AND t.status IN ('WAITING', 'PENDING', 'STARTED'));
  END IF;
  RETURN NULL;
END
$$;

CREATE TRIGGER svc_comm_task_process AFTER UPDATE OF state ON :schema.svc_comm_task FOR EACH ROW
  WHEN (NEW.process_instance IS NOT NULL AND NEW.state IS DISTINCT FROM OLD.state)
  EXECUTE FUNCTION :schema.svc_comm_process_follow();
