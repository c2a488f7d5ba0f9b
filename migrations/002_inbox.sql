-- Which messages had their effect. The row is written first in the handler's transaction: a copy that comes at the same
-- time waits on the primary key until that transaction has ended.
CREATE TABLE :schema.svc_comm_inbox (
  queue text NOT NULL,
  -- The sender's app id: ids of several senders may be equal.
  source text NOT NULL,
  message_id text NOT NULL,
  -- done: its effect is committed. dead: given up, a copy lies in the dead letters.
  state text NOT NULL CHECK (state IN ('done', 'dead')),
  at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (queue, source, message_id)
);

-- For the retention.
CREATE INDEX svc_comm_inbox_at ON :schema.svc_comm_inbox (at);

-- Keys whose messages go to the dead letters until they are put back to work.
CREATE TABLE :schema.svc_comm_parked_key (
  queue text NOT NULL,
  order_key text NOT NULL,
  parked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (queue, order_key)
);
