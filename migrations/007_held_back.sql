-- What is held back when it is written has nobody to wake: it may be taken back before it is due.
CREATE OR REPLACE FUNCTION :schema.svc_comm_outbox_wake() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM pg_notify('svc_comm_wake', coalesce(l.owner::text, ''))
    FROM (SELECT DISTINCT part FROM new_rows WHERE next_attempt_at IS NULL) n
    JOIN :schema.svc_comm_relay_lease l USING (part)
   WHERE l.parked OR current_setting('transaction_isolation') <> 'read committed';
  RETURN NULL;
END
$$;
