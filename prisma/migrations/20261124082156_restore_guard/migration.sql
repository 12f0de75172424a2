-- CreateTable
CREATE TABLE "database_lineages" (
    "number" INTEGER NOT NULL,
    "kind" TEXT NOT NULL,
    "identity" TEXT NOT NULL,
    "is_change" BOOLEAN NOT NULL,
    "first_seen_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "database_lineages_pkey" PRIMARY KEY ("number")
);

-- CreateIndex
CREATE INDEX "passes_join_at_idx" ON "passes"("join_at");
