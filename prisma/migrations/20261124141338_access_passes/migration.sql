-- AlterTable
ALTER TABLE "passes" ADD COLUMN     "external_user_id" TEXT,
ALTER COLUMN "meeting_id" DROP NOT NULL;

-- A pass is for one meeting, or for one user's access token and nothing else. Not looked for in what is there already: no row of before can
-- break it, and every mint would wait.
ALTER TABLE "passes" ADD CONSTRAINT "passes_target_check" CHECK (num_nonnulls("meeting_id", "external_user_id") = 1) NOT VALID;
ALTER TABLE "passes" ADD CONSTRAINT "passes_access_check"
  CHECK (("meeting_id" IS NULL) = ('access' = ANY ("kinds")) AND ("meeting_id" IS NOT NULL OR cardinality("kinds") = 1)) NOT VALID;
