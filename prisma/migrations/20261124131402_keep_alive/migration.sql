-- AlterTable
ALTER TABLE "grant_tokens" ADD COLUMN     "death_age_seconds" INTEGER,
ADD COLUMN     "death_reason" TEXT,
ADD COLUMN     "died_at" TIMESTAMPTZ(6);
