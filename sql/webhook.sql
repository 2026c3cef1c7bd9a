-- Taking in webhooks: signatures, redelivery, what JSONB cannot hold, failures
-- the example of GitHub's documentation
SELECT flowlens.verify_github_signature('Hello, World!', 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17', 'It''s a Secret to Everybody');
-- RFC 4231, case 2
SELECT flowlens.verify_github_signature('what do ya want for nothing?', 'sha256=5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843', 'Jefe');
SELECT name, flowlens.verify_github_signature('Hello, World!', signature, 'It''s a Secret to Everybody') AS fits FROM (VALUES
    (1, 'last digit', 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e16'),
    (2, 'first digit', 'sha256=857107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'),
    (3, 'upper case', 'sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586C22C46F4379C8B043E17'),
    (4, 'short', 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1'),
    (5, 'long', 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e177'),
    (6, 'no prefix', '757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17'),
    (7, 'sha1', 'sha1=01dc10d0c83e72ed246219cdd91669667fe2ca59'),
    (8, 'empty', ''),
    (9, 'missing', NULL)) AS v (n, name, signature) ORDER BY n;
SELECT flowlens.verify_github_signature(NULL, 'x', 'y'), flowlens.verify_github_signature('x', 'y', NULL), flowlens.verify_github_signature('', 'sha256=', '');

-- no secret: a signature is required all the same
SELECT flowlens.receive_webhook('ping', NULL, '{}');
SELECT flowlens.receive_webhook('ping', NULL, '{}', 'sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17');
SELECT count(*) FROM flowlens.raw_github_events;
SET flowlens.webhook_secrets = 'session';

SET flowlens.webhook_require_signature = off;
SELECT flowlens.receive_webhook('ping', '00000000-0000-0000-0000-000000000001', '{"zen": "Keep it simple.", "hook_id": 1}', NULL, '2024-05-01 00:00Z');
-- redelivery: while it waits, and after it was processed
SELECT flowlens.receive_webhook('ping', '00000000-0000-0000-0000-000000000001', '{"zen": "Keep it simple.", "hook_id": 1}', NULL, '2024-05-01 00:00Z');
SELECT * FROM flowlens.process_webhooks();
SELECT flowlens.receive_webhook('ping', '00000000-0000-0000-0000-000000000001', '{"zen": "Keep it simple.", "hook_id": 1}', NULL, '2024-05-08 23:00Z');
SELECT * FROM flowlens.process_webhooks();
SELECT event, action, github_id, payload, received_at AT TIME ZONE 'UTC' AS received FROM flowlens.raw_github_events;

-- what JSONB cannot hold is kept as it came, with the reason, as a dead letter
SELECT n, flowlens.receive_webhook('push', md5(n::text)::uuid, body, NULL, '2024-05-01 00:00Z') FROM (VALUES
    (1, convert_to('{"a": "\u0000"}', 'UTF8')), (2, convert_to('{"a": "\ud800"}', 'UTF8')), (3, '{"a": '), (4, ''), (5, '\xff'),
    (6, 'payload=%7B%7D'), (7, convert_to(repeat('[', 100000), 'UTF8')), (8, '{"a": 1e200000}'), (9, '\x7b0061')) AS v (n, body) ORDER BY n;
SELECT n, e.payload IS NULL AS no_payload, length(e.body) AS bytes, split_part(e.body_error, ':', 1) AS reason, q.ready_at
FROM generate_series(1, 9) n JOIN flowlens.raw_github_events e ON e.delivery_id = md5(n::text)::uuid
JOIN flowlens.work_queue q ON q.id = e.delivery_id ORDER BY n;
SELECT * FROM flowlens.process_webhooks();
-- requeued, it fails for the same reason
SELECT flowlens.requeue('flowlens.raw_github_events', md5('3')::uuid);
SELECT * FROM flowlens.process_webhooks();
SELECT attempts, last_error FROM flowlens.work_queue WHERE id = md5('3')::uuid;
DELETE FROM flowlens.work_queue;
TRUNCATE flowlens.raw_github_events;

-- JSON that is no event: stored, counted, ignored
SELECT hooks.receive('pull_request', '[]'), hooks.receive('push', '"text"'), hooks.receive('installation', '{"action": "created", "repositories": []}'),
       hooks.receive('an_event_of_tomorrow', hooks.body('{}')), hooks.receive('push', '{"repository": null}');
SELECT * FROM flowlens.process_webhooks();
SELECT count(*) FROM flowlens.raw_github_events;
SELECT full_name FROM flowlens.repositories;

-- bad events fail alone, with their reason; the others of the batch are applied
SELECT hooks.receive('pull_request', hooks.body('{"pull_request": {"number": 1}}', 'opened'), md5('a')::uuid),
       hooks.receive('pull_request', hooks.pull_request('opened', 0) #- '{pull_request,title}', md5('b')::uuid),
       hooks.receive('workflow_run', jsonb_set(hooks.workflow_run(300, 'completed', 'success', 5), '{workflow_run,id}', '1.5'), md5('c')::uuid),
       hooks.receive('workflow_run', jsonb_set(hooks.workflow_run(300, 'completed', 'success', 5), '{workflow_run,updated_at}', '"tomorrow"'), md5('d')::uuid),
       hooks.receive('pull_request', jsonb_set(hooks.pull_request('opened', 0), '{pull_request,number}', '3000000000'), md5('e')::uuid),
       hooks.receive('pull_request', jsonb_set(hooks.pull_request('opened', 0), '{pull_request,labels}', '{}'), md5('f')::uuid),
       hooks.receive('pull_request', jsonb_set(hooks.pull_request('opened', 0), '{repository,id}', '99999999999999999999'), md5('g')::uuid),
       hooks.receive('pull_request', hooks.pull_request('opened', 0), md5('h')::uuid);
SELECT * FROM flowlens.process_webhooks();
SELECT attempts, last_error FROM flowlens.work_queue WHERE queue = 'flowlens.raw_github_events'::regclass ORDER BY last_error;
SELECT count(*) FROM flowlens.pull_requests;
-- not before the backoff is over; then again, until it is a dead letter
SELECT * FROM flowlens.process_webhooks();
SET flowlens.queue_max_attempts = 2;
UPDATE flowlens.work_queue SET ready_at = '2024-01-01' WHERE id = md5('a')::uuid;
SELECT * FROM flowlens.process_webhooks();
SELECT attempts, ready_at FROM flowlens.work_queue WHERE id = md5('a')::uuid;
RESET flowlens.queue_max_attempts;
-- a redelivery of what failed is tried again
SELECT hooks.receive('pull_request', '{}', md5('a')::uuid);
SELECT attempts, ready_at <= clock_timestamp() AS ready FROM flowlens.work_queue WHERE id = md5('a')::uuid;
SELECT * FROM flowlens.process_webhooks();
DELETE FROM flowlens.work_queue WHERE queue = 'flowlens.raw_github_events'::regclass;

-- an error of the database in a batch: only its event fails
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no pull request %', NEW.pr_number; END $$;
CREATE TRIGGER refuse BEFORE INSERT ON flowlens.pull_requests FOR EACH ROW WHEN (NEW.pr_number = 7) EXECUTE FUNCTION refuse();
SELECT hooks.receive('pull_request', jsonb_set(hooks.pull_request('opened', 0), '{pull_request,number}', n::text::jsonb), md5('n' || n)::uuid) FROM generate_series(5, 8) n;
SELECT * FROM flowlens.process_webhooks();
SELECT pr_number FROM flowlens.pull_requests ORDER BY 1;
SELECT last_error FROM flowlens.work_queue WHERE queue = 'flowlens.raw_github_events'::regclass;
DROP TRIGGER refuse ON flowlens.pull_requests;
DROP FUNCTION refuse();
DELETE FROM flowlens.work_queue WHERE queue = 'flowlens.raw_github_events'::regclass;

-- a delivery that somebody deleted
INSERT INTO flowlens.work_queue (queue, id, ready_at, enqueued_at, group_key) VALUES ('flowlens.raw_github_events', md5('gone')::uuid, now(), now(), 10);
SELECT * FROM flowlens.process_webhooks();
SELECT attempts, last_error FROM flowlens.work_queue WHERE id = md5('gone')::uuid;
DELETE FROM flowlens.work_queue WHERE queue = 'flowlens.raw_github_events'::regclass;

-- what is unchanged is not written again: processed rows stay processed
UPDATE flowlens.pull_requests SET processed = true;
UPDATE flowlens.pipeline_runs SET processed = true;
SELECT hooks.receive('pull_request', hooks.pull_request('opened', 0));
SELECT * FROM flowlens.process_webhooks();
SELECT count(*) FROM flowlens.work_queue;

-- the repository object feeds the raw layer when it differs, and once a day
SELECT count(*) AS rows_before FROM flowlens.raw_github_repos WHERE github_id = 10 \gset
SELECT hooks.receive('star', hooks.body(jsonb_build_object('repository', hooks.repository(updated => 50) || '{"stargazers_count": 6}'), 'created'));
SELECT * FROM flowlens.process_webhooks();
SELECT hooks.receive('star', hooks.body(jsonb_build_object('repository', hooks.repository(updated => 60) || '{"stargazers_count": 6}'), 'created'));
SELECT * FROM flowlens.process_webhooks();
SELECT count(*) - :rows_before AS new_rows, max((api_response->>'stargazers_count')::integer) AS stars FROM flowlens.raw_github_repos WHERE github_id = 10;
-- an old object that comes late does not
SELECT hooks.receive('star', hooks.body(jsonb_build_object('repository', hooks.repository(updated => 40) || '{"stargazers_count": 4}'), 'created'));
SELECT * FROM flowlens.process_webhooks();
SELECT count(*) - :rows_before AS new_rows FROM flowlens.raw_github_repos WHERE github_id = 10;
SELECT flowlens.receive_webhook('star', NULL, convert_to(hooks.body(jsonb_build_object('repository', hooks.repository(updated => 70) || '{"stargazers_count": 6}'), 'created')::text, 'UTF8'), NULL, '2024-05-03 00:00Z');
SELECT * FROM flowlens.process_webhooks();
SELECT count(*) - :rows_before AS new_rows FROM flowlens.raw_github_repos WHERE github_id = 10;

-- repository events
SELECT hooks.receive('repository', hooks.body(jsonb_build_object('repository', hooks.repository(updated => 80) || '{"archived": true, "private": true}'), 'archived'));
SELECT hooks.receive('repository', hooks.body(jsonb_build_object('repository', hooks.repository(updated => 90) || '{"archived": true, "private": true}'), 'deleted'));
SELECT * FROM flowlens.process_webhooks();
SELECT full_name, is_archived, is_private, deleted_at = updated_at AS deleted FROM flowlens.repositories;

-- limits
SELECT flowlens.process_webhooks(0);
SELECT flowlens.process_webhooks(10001);
SELECT flowlens.process_webhooks(10000);
SELECT flowlens.receive_webhook(NULL, NULL, '{}');
SELECT flowlens.receive_webhook('ping', NULL, NULL);
SELECT flowlens.receive_webhook('ping', NULL, '{}', NULL, 'infinity');
CREATE ROLE webhook_nobody;
GRANT USAGE ON SCHEMA flowlens TO webhook_nobody;
SET ROLE webhook_nobody;
SELECT flowlens.receive_webhook('ping', NULL, '{}');
SET flowlens.webhook_require_signature = off;
DO $$
BEGIN
    PERFORM current_setting('flowlens.webhook_secrets');
    RAISE NOTICE 'the secrets are visible';
EXCEPTION WHEN insufficient_privilege THEN
    RAISE NOTICE 'the secrets are not visible';
END
$$;
RESET ROLE;
DROP OWNED BY webhook_nobody;
DROP ROLE webhook_nobody;
DELETE FROM flowlens.repositories;
TRUNCATE flowlens.raw_github_events, flowlens.raw_github_repos;
