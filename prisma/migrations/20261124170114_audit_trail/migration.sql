-- AlterTable
ALTER TABLE "audit_events" ADD COLUMN     "address" TEXT,
ADD COLUMN     "count" INTEGER NOT NULL DEFAULT 1,
ADD COLUMN     "outcome" TEXT DEFAULT 'done',
ADD COLUMN     "status" INTEGER,
ADD COLUMN     "subject_ids" TEXT[] DEFAULT ARRAY[]::TEXT[];

-- CreateIndex
CREATE INDEX "audit_events_tenant_id_at_id_idx" ON "audit_events"("tenant_id", "at", "id");

-- CreateIndex
CREATE INDEX "audit_events_subject_ids_idx" ON "audit_events" USING GIN ("subject_ids");

-- Lines that are there, and those that a former version goes on writing, are found by what they are about like any other.
UPDATE "audit_events" SET "subject_ids" = ARRAY["subject_id"::text] WHERE "subject_id" IS NOT NULL;
CREATE FUNCTION "audit_events_name_subject"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF COALESCE(cardinality(NEW."subject_ids"), 0) = 0 AND NEW."subject_id" IS NOT NULL THEN
    NEW."subject_ids" := ARRAY[NEW."subject_id"::text];
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER "audit_events_subject" BEFORE INSERT ON "audit_events" FOR EACH ROW
  EXECUTE FUNCTION "audit_events_name_subject"();

-- Append-only. Three changes are none of the past: an outcome that was open is settled, once, and may name what was made; a count of
-- refusals grows while its minute lasts; and what is older than 400 days goes.
CREATE FUNCTION "audit_events_append_only"() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'DELETE' AND OLD."at" < now() - interval '400 days' THEN
    RETURN OLD;
  END IF;
  IF TG_OP = 'UPDATE' THEN
    IF OLD."outcome" IS NULL AND NEW."outcome" IS NOT NULL
       AND NEW."subject_ids"[1:cardinality(OLD."subject_ids")] = OLD."subject_ids"
       AND to_jsonb(NEW) - '{outcome,status,subject_ids}'::text[] = to_jsonb(OLD) - '{outcome,status,subject_ids}'::text[] THEN
      RETURN NEW;
    END IF;
    IF OLD."action" LIKE 'auth.%' AND NEW."count" > OLD."count" AND OLD."at" > now() - interval '5 minutes'
       AND to_jsonb(NEW) - 'count' = to_jsonb(OLD) - 'count' THEN
      RETURN NEW;
    END IF;
  END IF;
  RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER "audit_events_kept" BEFORE UPDATE OR DELETE ON "audit_events" FOR EACH ROW
  EXECUTE FUNCTION "audit_events_append_only"();
CREATE TRIGGER "audit_events_not_truncated" BEFORE TRUNCATE ON "audit_events" FOR EACH STATEMENT
  EXECUTE FUNCTION "audit_events_append_only"();
