-- CreateTable
CREATE TABLE "imported_tokens" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "zoom_app_id" UUID NOT NULL,
    "token_hash" BYTEA NOT NULL,
    "state" TEXT NOT NULL,
    "code" TEXT,
    "grant_id" UUID,
    "consent_epoch" INTEGER NOT NULL DEFAULT 0,
    "lease_until" TIMESTAMPTZ(6) NOT NULL,
    "claimed_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "redeemed_at" TIMESTAMPTZ(6),

    CONSTRAINT "imported_tokens_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE INDEX "imported_tokens_grant_id_idx" ON "imported_tokens"("grant_id");

-- CreateIndex
CREATE INDEX "imported_tokens_claimed_at_idx" ON "imported_tokens"("claimed_at");

-- CreateIndex
CREATE UNIQUE INDEX "imported_tokens_tenant_id_id_key" ON "imported_tokens"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "imported_tokens_zoom_app_id_token_hash_key" ON "imported_tokens"("zoom_app_id", "token_hash");

-- AddForeignKey
ALTER TABLE "imported_tokens" ADD CONSTRAINT "imported_tokens_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "imported_tokens" ADD CONSTRAINT "imported_tokens_zoom_app_id_fkey" FOREIGN KEY ("zoom_app_id") REFERENCES "zoom_apps"("id") ON DELETE CASCADE ON UPDATE CASCADE;
