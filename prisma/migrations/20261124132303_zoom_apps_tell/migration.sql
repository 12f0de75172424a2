-- AlterTable
ALTER TABLE "zoom_apps" ADD COLUMN IF NOT EXISTS "paused_at" TIMESTAMPTZ(6);

CREATE OR REPLACE TRIGGER "zoom_apps_tell" AFTER UPDATE OF "paused_at" ON "zoom_apps" FOR EACH ROW
  WHEN ((OLD."paused_at" IS NULL) <> (NEW."paused_at" IS NULL))
  EXECUTE FUNCTION "tell_of_zoom_app"();
