-- webhooks --------------------------------------------------------------------
-- not STRICT: what is missing does not fit
CREATE FUNCTION flowlens.verify_github_signature(body bytea, signature text, secret text)
RETURNS boolean AS 'MODULE_PATHNAME', 'flowlens_verify_github_signature' LANGUAGE C IMMUTABLE PARALLEL SAFE;
COMMENT ON FUNCTION flowlens.verify_github_signature(bytea, text, text) IS
'Tells whether "signature" (header X-Hub-Signature-256: sha256= and 64 lower-case hex digits) is the HMAC-SHA256 of the raw body under the secret. Compares in constant time; never NULL, never an error.';

-- not STRICT: signature may be missing, delivery_id and received_at have defaults
CREATE FUNCTION flowlens.receive_webhook(event text, delivery_id uuid, body bytea, signature text DEFAULT NULL, received_at timestamptz DEFAULT now())
RETURNS text AS 'MODULE_PATHNAME', 'flowlens_receive_webhook' LANGUAGE C VOLATILE PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp;
COMMENT ON FUNCTION flowlens.receive_webhook(text, uuid, bytea, text, timestamptz) IS
'Takes in one delivery: "event" is the header X-GitHub-Event, "delivery_id" X-GitHub-Delivery (NULL: a new one), "body" the raw bytes, "signature" X-Hub-Signature-256. Returns ''accepted'', ''duplicate'' (this id came before and has not failed; nothing is written) or ''rejected'' (the signature fits none of flowlens.webhook_secrets). Errors: null_value_not_allowed without event or body.';
-- writes raw data: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.receive_webhook(text, uuid, bytea, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION flowlens.process_webhooks(batch integer DEFAULT 1000, OUT processed bigint, OUT failed bigint, OUT ignored bigint)
RETURNS record AS 'MODULE_PATHNAME', 'flowlens_process_webhooks' LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE
SET search_path = pg_catalog, flowlens, pg_temp SET jit = off;
COMMENT ON FUNCTION flowlens.process_webhooks(integer) IS
'Processes up to "batch" waiting deliveries, oldest first, and returns how many were processed, failed (retried with backoff, dead letters after flowlens.queue_max_attempts attempts) and ignored (unknown events, events without a repository). Many workers may call it at once: each repository has one at a time. All zero: nothing to do, or others have it.';
-- writes the tables of FlowLens: the owner decides who may
REVOKE ALL ON FUNCTION flowlens.process_webhooks(integer) FROM PUBLIC;

