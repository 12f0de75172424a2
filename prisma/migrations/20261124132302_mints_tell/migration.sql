CREATE OR REPLACE TRIGGER "mints_tell" AFTER UPDATE OF "outcome" ON "mints" FOR EACH ROW
  WHEN (NEW."pass_id" IS NOT NULL AND OLD."outcome" IS NULL
        AND NEW."outcome" NOT IN ('minted', 'unauthenticated', 'pass_mismatch', 'invalid_request'))
  EXECUTE FUNCTION "tell_of_mint"();
