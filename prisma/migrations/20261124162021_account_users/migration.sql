-- CreateTable
CREATE TABLE "account_users" (
    "grant_id" UUID NOT NULL,
    "zoom_user_id" TEXT NOT NULL,
    "has_pmi" BOOLEAN NOT NULL,
    "meetings" INTEGER NOT NULL DEFAULT 0,
    "listed_at" TIMESTAMPTZ(6) NOT NULL,
    "read_at" TIMESTAMPTZ(6),
    "tried_at" TIMESTAMPTZ(6),
    "is_waiting" BOOLEAN NOT NULL DEFAULT true,

    CONSTRAINT "account_users_pkey" PRIMARY KEY ("grant_id","zoom_user_id")
);

-- CreateIndex
CREATE INDEX "account_users_grant_id_is_waiting_tried_at_idx" ON "account_users"("grant_id", "is_waiting", "tried_at");

-- AddForeignKey
ALTER TABLE "account_users" ADD CONSTRAINT "account_users_grant_id_fkey" FOREIGN KEY ("grant_id") REFERENCES "grants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

