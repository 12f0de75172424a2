-- AlterTable
ALTER TABLE "grants" ADD COLUMN     "user_event_at" TIMESTAMPTZ(6);
