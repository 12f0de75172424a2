-- AlterTable
ALTER TABLE "meetings" ADD COLUMN     "seen_at" TIMESTAMPTZ(6);
