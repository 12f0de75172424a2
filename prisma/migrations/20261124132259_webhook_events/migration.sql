-- CreateTable
CREATE TABLE "webhook_events" (
    "id" UUID NOT NULL DEFAULT gen_random_uuid(),
    "position" BIGSERIAL NOT NULL,
    "tenant_id" UUID,
    "type" TEXT NOT NULL,
    "subject_id" UUID NOT NULL,
    "facts" JSONB NOT NULL DEFAULT '{}',
    "dedupe_key" TEXT,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "claimed_until" TIMESTAMPTZ(6),
    "dispatched_at" TIMESTAMPTZ(6),
    "payload_ct" BYTEA,

    CONSTRAINT "webhook_events_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "webhook_deliveries" (
    "id" UUID NOT NULL,
    "tenant_id" UUID,
    "endpoint_id" UUID NOT NULL,
    "event_id" UUID NOT NULL,
    "status" TEXT NOT NULL DEFAULT 'pending',
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "enqueued_at" TIMESTAMPTZ(6),
    "attempting_until" TIMESTAMPTZ(6),
    "last_attempt_at" TIMESTAMPTZ(6),
    "last_status_code" INTEGER,
    "last_error" TEXT,
    "delivered_at" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_deliveries_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "webhook_events_position_key" ON "webhook_events"("position");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_events_dedupe_key_key" ON "webhook_events"("dedupe_key");

-- CreateIndex
CREATE INDEX "webhook_events_dispatched_at_position_idx" ON "webhook_events"("dispatched_at", "position");

-- CreateIndex
CREATE INDEX "webhook_events_created_at_idx" ON "webhook_events"("created_at");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_events_tenant_id_id_key" ON "webhook_events"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "webhook_deliveries_status_next_attempt_at_idx" ON "webhook_deliveries"("status", "next_attempt_at");

-- CreateIndex
CREATE INDEX "webhook_deliveries_event_id_idx" ON "webhook_deliveries"("event_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_deliveries_endpoint_id_event_id_key" ON "webhook_deliveries"("endpoint_id", "event_id");

-- CreateIndex
CREATE UNIQUE INDEX "webhook_deliveries_tenant_id_id_key" ON "webhook_deliveries"("tenant_id", "id");

-- AddForeignKey
ALTER TABLE "webhook_events" ADD CONSTRAINT "webhook_events_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_event_id_fkey" FOREIGN KEY ("event_id") REFERENCES "webhook_events"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Below: what Prisma's schema language cannot say.

ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_status_check" CHECK ("status" IN ('pending', 'delivered', 'failed'));
ALTER TABLE "webhook_deliveries" SET (fillfactor = 70);

-- Of the tables that every mint and refresh reads or writes, each of these migrations locks one alone, and for a moment: two in one
-- transaction end in a deadlock with a statement that has taken them in the other order.

-- AlterTable
ALTER TABLE "hosts" ADD COLUMN     "told_reason" TEXT,
ADD COLUMN     "told_status" TEXT NOT NULL DEFAULT 'connected';

-- Events are written here and nowhere else, in the transaction that makes them true: whichever statement changes a host's
-- state, a grant's, an app's or a mint's outcome, cannot forget it. What was told last is kept on the host, so that a change
-- that two statements bring, or two tables at once, is told once (ADR 0016).
CREATE FUNCTION "tell_host_states"("of_grant" uuid, "of_host" uuid) RETURNS void LANGUAGE sql AS $$
  WITH changed AS (
    UPDATE "hosts" h SET "told_status" = s."status", "told_reason" = s."status_reason"
      FROM "host_states" s
     WHERE s."id" = h."id" AND h."grant_id" = "of_grant" AND h."id" = COALESCE("of_host", h."id")
       AND (h."told_status", h."told_reason") IS DISTINCT FROM (s."status", s."status_reason")
    RETURNING h."tenant_id", h."id", h."external_user_id", s."status", s."status_reason")
  INSERT INTO "webhook_events" ("tenant_id", "type", "subject_id", "facts")
  SELECT "tenant_id",
         CASE "status" WHEN 'connected' THEN 'host.recovered' WHEN 'blocked' THEN 'host.blocked' ELSE 'host.reconnect_required' END,
         "id", jsonb_build_object('external_user_id', "external_user_id", 'status', "status", 'status_reason', "status_reason")
    FROM changed
$$;

CREATE FUNCTION "tell_of_grant"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_TABLE_NAME = 'grants' THEN PERFORM "tell_host_states"(NEW."id", NULL);
  ELSE PERFORM "tell_host_states"(NEW."grant_id", NULL);
  END IF;
  RETURN NULL;
END $$;

CREATE FUNCTION "tell_of_host"() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
  h "hosts" := COALESCE(NEW, OLD);
BEGIN
  IF TG_OP <> 'DELETE' THEN PERFORM "tell_host_states"(NEW."grant_id", NEW."id"); END IF;
  INSERT INTO "webhook_events" ("tenant_id", "type", "subject_id", "facts")
  VALUES (h."tenant_id", CASE TG_OP WHEN 'DELETE' THEN 'host.disconnected' ELSE 'host.connected' END, h."id",
          jsonb_build_object('external_user_id', h."external_user_id"));
  RETURN NULL;
END $$;
CREATE TRIGGER "hosts_tell" AFTER INSERT OR DELETE ON "hosts" FOR EACH ROW EXECUTE FUNCTION "tell_of_host"();
CREATE TRIGGER "hosts_tell_again" AFTER UPDATE OF "grant_id", "consent_epoch", "connected_at" ON "hosts" FOR EACH ROW
  EXECUTE FUNCTION "tell_of_host"();

-- Once for each pass, kind and cause: a bot that waits for its user asks every few seconds.
CREATE FUNCTION "tell_of_mint"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "webhook_events" ("tenant_id", "type", "subject_id", "facts", "dedupe_key")
  VALUES (NEW."tenant_id", 'pass.failed', NEW."pass_id",
          jsonb_build_object('mint_id', NEW."id", 'kind', NEW."kind", 'meeting_id', NEW."meeting_id", 'host_id', NEW."host_id",
                             'code', NEW."outcome", 'reason', NEW."reason", 'zoom_code', NEW."zoom_code"),
          concat_ws(':', 'pass.failed', NEW."pass_id", NEW."kind", NEW."outcome"))
  ON CONFLICT ("dedupe_key") DO NOTHING;
  RETURN NULL;
EXCEPTION WHEN foreign_key_violation THEN
  RETURN NULL; -- the tenant is being deleted: nobody is left to tell, and the outcomes of others must not fail with it
END $$;

CREATE FUNCTION "tell_of_zoom_app"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO "webhook_events" ("tenant_id", "type", "subject_id", "facts")
  VALUES (NEW."tenant_id", CASE WHEN NEW."paused_at" IS NULL THEN 'app.resumed' ELSE 'app.paused' END, NEW."id",
          jsonb_build_object('client_id', NEW."client_id", 'kind', NEW."kind"));
  RETURN NULL;
END $$;
