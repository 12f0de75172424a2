-- CreateSchema
CREATE SCHEMA IF NOT EXISTS "public";

-- CreateTable
CREATE TABLE "tenants" (
    "id" UUID NOT NULL,
    "slug" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "return_url_origins" TEXT[],
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "tenants_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "api_keys" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "name" TEXT NOT NULL,
    "prefix" TEXT NOT NULL,
    "secret_hash" BYTEA NOT NULL,
    "scopes" TEXT[],
    "expires_at" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "api_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "zoom_apps" (
    "id" UUID NOT NULL,
    "tenant_id" UUID,
    "kind" TEXT NOT NULL,
    "client_id" TEXT NOT NULL,
    "managed_by" TEXT NOT NULL,
    "client_secret_ct" BYTEA,
    "previous_client_secret_ct" BYTEA,
    "webhook_secret_ct" BYTEA,
    "previous_webhook_secret_ct" BYTEA,
    "previous_client_secret_until" TIMESTAMPTZ(6),
    "previous_webhook_secret_until" TIMESTAMPTZ(6),
    "secret_generation" BIGINT NOT NULL DEFAULT 0,
    "redirect_uri" TEXT,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "zoom_apps_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "recall_workspaces" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "region" TEXT NOT NULL,
    "api_key_ct" BYTEA,
    "signature_mode" TEXT NOT NULL DEFAULT 'require',
    "observe_until" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "recall_workspaces_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "recall_secrets" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "workspace_id" UUID NOT NULL,
    "secret_ct" BYTEA NOT NULL,
    "secret_hash" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "recall_secrets_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "data_keys" (
    "id" UUID NOT NULL,
    "owner_id" UUID NOT NULL,
    "version" INTEGER NOT NULL DEFAULT 1,
    "kid" TEXT NOT NULL,
    "wrapped" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "data_keys_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "encryption_key_checks" (
    "kid" TEXT NOT NULL,
    "sealed" BYTEA NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "encryption_key_checks_pkey" PRIMARY KEY ("kid")
);

-- CreateTable
CREATE TABLE "installations" (
    "singleton" BOOLEAN NOT NULL DEFAULT true,
    "installation_id" TEXT NOT NULL,
    "first_used_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "installations_pkey" PRIMARY KEY ("singleton")
);

-- CreateTable
CREATE TABLE "schema_compatibility" (
    "migration_name" TEXT NOT NULL,
    "incompatible_since" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "schema_compatibility_pkey" PRIMARY KEY ("migration_name")
);

-- CreateTable
CREATE TABLE "grants" (
    "id" UUID NOT NULL,
    "zoom_app_id" UUID NOT NULL,
    "zoom_user_id" TEXT NOT NULL,
    "zoom_account_id" TEXT,
    "email" TEXT,
    "display_name" TEXT,
    "scopes" TEXT[],
    "blocked_reason" TEXT,
    "connected_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "grants_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "grant_tokens" (
    "grant_id" UUID NOT NULL,
    "status" TEXT NOT NULL,
    "status_reason" TEXT,
    "gen" BIGINT NOT NULL,
    "refresh_ct" BYTEA,
    "access_ct" BYTEA,
    "access_expires_at" TIMESTAMPTZ(6),
    "refreshed_at" TIMESTAMPTZ(6),
    "lease_until" TIMESTAMPTZ(6),
    "lease_seq" BIGINT NOT NULL DEFAULT 0,
    "lease_owner" TEXT,
    "intent_gen" BIGINT,
    "intent_at" TIMESTAMPTZ(6),
    "consent_epoch" INTEGER NOT NULL DEFAULT 0,
    "consent_reason" TEXT,

    CONSTRAINT "grant_tokens_pkey" PRIMARY KEY ("grant_id")
);

-- CreateTable
CREATE TABLE "refresh_attempts" (
    "id" UUID NOT NULL,
    "grant_id" UUID NOT NULL,
    "gen" BIGINT NOT NULL,
    "lease_seq" BIGINT NOT NULL,
    "recovering" BOOLEAN NOT NULL,
    "started_at" TIMESTAMPTZ(6) NOT NULL,
    "ended_at" TIMESTAMPTZ(6),
    "outcome" TEXT,

    CONSTRAINT "refresh_attempts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "hosts" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "external_user_id" TEXT NOT NULL,
    "grant_id" UUID NOT NULL,
    "consent_epoch" INTEGER NOT NULL,
    "connected_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "hosts_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "organizations" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "external_user_id" TEXT NOT NULL,
    "zoom_account_id" TEXT NOT NULL,
    "grant_id" UUID NOT NULL,
    "consent_epoch" INTEGER NOT NULL,
    "connected_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "organizations_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "meetings" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "meeting_id" TEXT NOT NULL,
    "external_user_id" TEXT,
    "organization_id" UUID,
    "source" TEXT NOT NULL,
    "observed_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "updated_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "meetings_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "passes" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "secret_hash" BYTEA NOT NULL,
    "meeting_id" TEXT NOT NULL,
    "kinds" TEXT[],
    "on_behalf_of" TEXT[],
    "obf_turn" INTEGER NOT NULL DEFAULT 0,
    "join_at" TIMESTAMPTZ(6),
    "expires_at" TIMESTAMPTZ(6) NOT NULL,
    "revoked_at" TIMESTAMPTZ(6),
    "metadata" JSONB NOT NULL DEFAULT '{}',
    "window_started_at" TIMESTAMPTZ(6),
    "window_mints" INTEGER NOT NULL DEFAULT 0,
    "refused_count" INTEGER NOT NULL DEFAULT 0,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "passes_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "seen_webhook_ids" (
    "webhook_id" TEXT NOT NULL,
    "bound_to" TEXT NOT NULL,
    "seen_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "seen_webhook_ids_pkey" PRIMARY KEY ("webhook_id")
);

-- CreateTable
CREATE TABLE "connect_sessions" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "secret_hash" BYTEA NOT NULL,
    "kind" TEXT NOT NULL,
    "external_user_id" TEXT NOT NULL,
    "zoom_app_id" UUID NOT NULL,
    "return_url" TEXT,
    "expected_email" TEXT,
    "on_other_zoom_user" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,
    "spent_at" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "connect_sessions_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "connect_flows" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "session_id" UUID,
    "zoom_app_id" UUID NOT NULL,
    "state_hash" BYTEA NOT NULL,
    "browser_hash" BYTEA NOT NULL,
    "verifier_ct" BYTEA,
    "redirect_uri" TEXT NOT NULL,
    "address" TEXT NOT NULL,
    "expires_at" TIMESTAMPTZ(6) NOT NULL,
    "consumed_at" TIMESTAMPTZ(6),
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "connect_flows_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "mints" (
    "id" UUID NOT NULL,
    "tenant_id" UUID NOT NULL,
    "pass_id" UUID,
    "host_id" UUID,
    "kind" TEXT NOT NULL,
    "meeting_id" TEXT NOT NULL,
    "outcome" TEXT,
    "reason" TEXT,
    "zoom_status" INTEGER,
    "zoom_code" INTEGER,
    "duration_ms" INTEGER,
    "request_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "mints_pkey" PRIMARY KEY ("id")
);

-- CreateTable
CREATE TABLE "idempotency_keys" (
    "id" UUID NOT NULL,
    "scope_id" UUID NOT NULL,
    "key_hash" BYTEA NOT NULL,
    "request_hash" BYTEA NOT NULL,
    "status" INTEGER,
    "response_ct" BYTEA,
    "created_at" TIMESTAMPTZ(6) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "idempotency_keys_pkey" PRIMARY KEY ("id")
);

-- CreateIndex
CREATE UNIQUE INDEX "tenants_slug_key" ON "tenants"("slug");

-- CreateIndex
CREATE UNIQUE INDEX "api_keys_tenant_id_id_key" ON "api_keys"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "zoom_apps_client_id_key" ON "zoom_apps"("client_id");

-- CreateIndex
CREATE INDEX "zoom_apps_tenant_id_kind_idx" ON "zoom_apps"("tenant_id", "kind");

-- CreateIndex
CREATE UNIQUE INDEX "recall_workspaces_tenant_id_id_key" ON "recall_workspaces"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "recall_secrets_secret_hash_idx" ON "recall_secrets"("secret_hash");

-- CreateIndex
CREATE UNIQUE INDEX "recall_secrets_tenant_id_id_key" ON "recall_secrets"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "recall_secrets_tenant_id_workspace_id_secret_hash_key" ON "recall_secrets"("tenant_id", "workspace_id", "secret_hash");

-- CreateIndex
CREATE INDEX "data_keys_kid_idx" ON "data_keys"("kid");

-- CreateIndex
CREATE UNIQUE INDEX "data_keys_owner_id_version_key" ON "data_keys"("owner_id", "version");

-- CreateIndex
CREATE UNIQUE INDEX "grants_zoom_app_id_zoom_user_id_key" ON "grants"("zoom_app_id", "zoom_user_id");

-- CreateIndex
CREATE INDEX "refresh_attempts_started_at_idx" ON "refresh_attempts"("started_at");

-- CreateIndex
CREATE UNIQUE INDEX "refresh_attempts_grant_id_lease_seq_key" ON "refresh_attempts"("grant_id", "lease_seq");

-- CreateIndex
CREATE INDEX "hosts_grant_id_idx" ON "hosts"("grant_id");

-- CreateIndex
CREATE UNIQUE INDEX "hosts_tenant_id_id_key" ON "hosts"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "hosts_tenant_id_external_user_id_key" ON "hosts"("tenant_id", "external_user_id");

-- CreateIndex
CREATE UNIQUE INDEX "hosts_tenant_id_grant_id_key" ON "hosts"("tenant_id", "grant_id");

-- CreateIndex
CREATE INDEX "organizations_grant_id_idx" ON "organizations"("grant_id");

-- CreateIndex
CREATE UNIQUE INDEX "organizations_tenant_id_id_key" ON "organizations"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "organizations_tenant_id_zoom_account_id_key" ON "organizations"("tenant_id", "zoom_account_id");

-- CreateIndex
CREATE UNIQUE INDEX "organizations_tenant_id_grant_id_key" ON "organizations"("tenant_id", "grant_id");

-- CreateIndex
CREATE INDEX "meetings_tenant_id_external_user_id_idx" ON "meetings"("tenant_id", "external_user_id");

-- CreateIndex
CREATE INDEX "meetings_tenant_id_organization_id_idx" ON "meetings"("tenant_id", "organization_id");

-- CreateIndex
CREATE UNIQUE INDEX "meetings_tenant_id_id_key" ON "meetings"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "meetings_tenant_id_meeting_id_key" ON "meetings"("tenant_id", "meeting_id");

-- CreateIndex
CREATE UNIQUE INDEX "passes_secret_hash_key" ON "passes"("secret_hash");

-- CreateIndex
CREATE INDEX "passes_tenant_id_meeting_id_idx" ON "passes"("tenant_id", "meeting_id");

-- CreateIndex
CREATE UNIQUE INDEX "passes_tenant_id_id_key" ON "passes"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "seen_webhook_ids_seen_at_idx" ON "seen_webhook_ids"("seen_at");

-- CreateIndex
CREATE UNIQUE INDEX "connect_sessions_secret_hash_key" ON "connect_sessions"("secret_hash");

-- CreateIndex
CREATE INDEX "connect_sessions_expires_at_idx" ON "connect_sessions"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "connect_sessions_tenant_id_id_key" ON "connect_sessions"("tenant_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "connect_flows_state_hash_key" ON "connect_flows"("state_hash");

-- CreateIndex
CREATE INDEX "connect_flows_tenant_id_session_id_idx" ON "connect_flows"("tenant_id", "session_id");

-- CreateIndex
CREATE INDEX "connect_flows_address_expires_at_idx" ON "connect_flows"("address", "expires_at");

-- CreateIndex
CREATE INDEX "connect_flows_expires_at_idx" ON "connect_flows"("expires_at");

-- CreateIndex
CREATE UNIQUE INDEX "connect_flows_tenant_id_id_key" ON "connect_flows"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "mints_tenant_id_meeting_id_id_idx" ON "mints"("tenant_id", "meeting_id", "id");

-- CreateIndex
CREATE INDEX "mints_tenant_id_pass_id_id_idx" ON "mints"("tenant_id", "pass_id", "id");

-- CreateIndex
CREATE UNIQUE INDEX "mints_tenant_id_id_key" ON "mints"("tenant_id", "id");

-- CreateIndex
CREATE INDEX "idempotency_keys_created_at_idx" ON "idempotency_keys"("created_at");

-- CreateIndex
CREATE UNIQUE INDEX "idempotency_keys_scope_id_key_hash_key" ON "idempotency_keys"("scope_id", "key_hash");

-- AddForeignKey
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "zoom_apps" ADD CONSTRAINT "zoom_apps_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recall_workspaces" ADD CONSTRAINT "recall_workspaces_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "recall_secrets" ADD CONSTRAINT "recall_secrets_tenant_id_workspace_id_fkey" FOREIGN KEY ("tenant_id", "workspace_id") REFERENCES "recall_workspaces"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "grants" ADD CONSTRAINT "grants_zoom_app_id_fkey" FOREIGN KEY ("zoom_app_id") REFERENCES "zoom_apps"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "grant_tokens" ADD CONSTRAINT "grant_tokens_grant_id_fkey" FOREIGN KEY ("grant_id") REFERENCES "grants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "refresh_attempts" ADD CONSTRAINT "refresh_attempts_grant_id_fkey" FOREIGN KEY ("grant_id") REFERENCES "grants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "hosts" ADD CONSTRAINT "hosts_grant_id_fkey" FOREIGN KEY ("grant_id") REFERENCES "grants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "organizations" ADD CONSTRAINT "organizations_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "organizations" ADD CONSTRAINT "organizations_grant_id_fkey" FOREIGN KEY ("grant_id") REFERENCES "grants"("id") ON DELETE RESTRICT ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "meetings" ADD CONSTRAINT "meetings_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "meetings" ADD CONSTRAINT "meetings_tenant_id_organization_id_fkey" FOREIGN KEY ("tenant_id", "organization_id") REFERENCES "organizations"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "passes" ADD CONSTRAINT "passes_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "connect_sessions" ADD CONSTRAINT "connect_sessions_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "connect_sessions" ADD CONSTRAINT "connect_sessions_zoom_app_id_fkey" FOREIGN KEY ("zoom_app_id") REFERENCES "zoom_apps"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "connect_flows" ADD CONSTRAINT "connect_flows_tenant_id_fkey" FOREIGN KEY ("tenant_id") REFERENCES "tenants"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "connect_flows" ADD CONSTRAINT "connect_flows_tenant_id_session_id_fkey" FOREIGN KEY ("tenant_id", "session_id") REFERENCES "connect_sessions"("tenant_id", "id") ON DELETE CASCADE ON UPDATE CASCADE;

-- AddForeignKey
ALTER TABLE "connect_flows" ADD CONSTRAINT "connect_flows_zoom_app_id_fkey" FOREIGN KEY ("zoom_app_id") REFERENCES "zoom_apps"("id") ON DELETE CASCADE ON UPDATE CASCADE;

-- Below: what Prisma's schema language cannot say. The drift check compares tables, columns, keys and indexes only.

-- Closed sets, so that a mistake stops here and not in a bot's request.
ALTER TABLE "zoom_apps" ADD CONSTRAINT "zoom_apps_kind_check" CHECK ("kind" IN ('user', 'account'));
ALTER TABLE "zoom_apps" ADD CONSTRAINT "zoom_apps_managed_by_check" CHECK ("managed_by" IN ('environment', 'api'));
ALTER TABLE "recall_workspaces" ADD CONSTRAINT "recall_workspaces_signature_mode_check" CHECK ("signature_mode" IN ('require', 'observe'));
ALTER TABLE "grants" ADD CONSTRAINT "grants_blocked_reason_check" CHECK ("blocked_reason" IN ('admin_disabled', 'user_deactivated'));
ALTER TABLE "grant_tokens" ADD CONSTRAINT "grant_tokens_status_check" CHECK ("status" IN ('connected', 'reconnect_required', 'disconnected'));
ALTER TABLE "grant_tokens" ADD CONSTRAINT "grant_tokens_status_reason_check" CHECK ("status_reason" IN ('rotation_lost', 'rejected_by_zoom', 'superseded', 'deauthorized', 'user_removed', 'scopes_changed', 'expired', 'restored_backup'));
ALTER TABLE "meetings" ADD CONSTRAINT "meetings_source_check" CHECK ("source" IN ('api', 'event', 'sync', 'lookup'));
ALTER TABLE "meetings" ADD CONSTRAINT "meetings_target_check" CHECK (num_nonnulls("external_user_id", "organization_id") = 1);
ALTER TABLE "meetings" ADD CONSTRAINT "meetings_meeting_id_check" CHECK ("meeting_id" ~ '^[0-9]{9,12}$');
ALTER TABLE "passes" ADD CONSTRAINT "passes_meeting_id_check" CHECK ("meeting_id" ~ '^[0-9]{9,12}$');
ALTER TABLE "connect_sessions" ADD CONSTRAINT "connect_sessions_kind_check" CHECK ("kind" IN ('host', 'organization'));
ALTER TABLE "installations" ADD CONSTRAINT "installations_singleton_check" CHECK ("singleton");

-- Rows that are written again on every mint: leave room on the page, so that the update touches no index.
ALTER TABLE "passes" SET (fillfactor = 70);
ALTER TABLE "mints" SET (fillfactor = 80);
ALTER TABLE "grant_tokens" SET (fillfactor = 50);

-- What may be known of a grant outside the vault: its state, never its tokens.
CREATE VIEW "grant_states" AS
SELECT g."id" AS "grant_id", g."zoom_app_id", g."zoom_user_id", g."zoom_account_id", g."email", g."display_name", g."scopes",
       g."blocked_reason", t."status" AS "grant_status", t."status_reason" AS "grant_status_reason", t."gen",
       t."access_expires_at", t."refreshed_at", t."consent_epoch" AS "grant_consent_epoch", t."consent_reason"
  FROM "grants" g JOIN "grant_tokens" t ON t."grant_id" = g."id";

-- The one rule that turns a grant's state into a host's: blocked first (no organization may stand in for a blocked user),
-- then a consent given again through another tenant only, then the grant's own state.
CREATE VIEW "host_states" AS
SELECT h."id", h."tenant_id", h."external_user_id", h."connected_at", s.*,
       CASE WHEN s."blocked_reason" IS NOT NULL THEN 'blocked'
            WHEN h."consent_epoch" < s."grant_consent_epoch" OR s."grant_status" <> 'connected' THEN 'reconnect_required'
            ELSE 'connected' END AS "status",
       CASE WHEN s."blocked_reason" IS NOT NULL THEN s."blocked_reason"
            WHEN h."consent_epoch" < s."grant_consent_epoch" THEN s."consent_reason"
            WHEN s."grant_status" = 'connected' THEN NULL
            ELSE COALESCE(s."grant_status_reason", 'deauthorized') END AS "status_reason"
  FROM "hosts" h JOIN "grant_states" s ON s."grant_id" = h."grant_id";

CREATE VIEW "organization_states" AS
SELECT o."id", o."tenant_id", o."external_user_id", o."zoom_account_id" AS "organization_account_id", o."connected_at", s.*,
       CASE WHEN s."blocked_reason" IS NOT NULL THEN 'blocked'
            WHEN o."consent_epoch" < s."grant_consent_epoch" OR s."grant_status" <> 'connected' THEN 'reconnect_required'
            ELSE 'connected' END AS "status",
       CASE WHEN s."blocked_reason" IS NOT NULL THEN s."blocked_reason"
            WHEN o."consent_epoch" < s."grant_consent_epoch" THEN s."consent_reason"
            WHEN s."grant_status" = 'connected' THEN NULL
            ELSE COALESCE(s."grant_status_reason", 'deauthorized') END AS "status_reason"
  FROM "organizations" o JOIN "grant_states" s ON s."grant_id" = o."grant_id";

-- The tenant that always exists. A fixed id, so that every installation knows it without asking.
INSERT INTO "tenants" ("id", "slug", "name", "return_url_origins")
VALUES ('00000000-0000-7000-8000-000000000001', 'default', 'Default', '{}');
