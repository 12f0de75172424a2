-- AlterTable
ALTER TABLE "mints" ALTER COLUMN "meeting_id" DROP NOT NULL;
