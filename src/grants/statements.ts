import { mintStatement, statement } from '../lib/sql.ts'
import { ageOf } from '../retention.ts'
import { NO_PERSON } from './person.ts'
import { isUnlinked } from './unlinked.ts'

// Every statement here is one autocommit: no transaction is open while Zoom is asked, none is lost with a connection.
// The database's clock decides leases, expiry and freshness, so a replica's own clock changes nothing.

const STORED_AT = `EXTRACT(EPOCH FROM refreshed_at)::float8 AS "storedAtSeconds"`
/** A pair that is stored, and under which consent. */
const STORED_PAIR = `${STORED_AT}, consent_epoch AS "consentEpoch", consent_reason AS "consentReason"`
/** Its user has not consented within so many seconds: nothing that follows a consent is on its way. */
const isQuiet = (grantId: string, seconds: string) =>
  `NOT EXISTS (SELECT FROM grants WHERE id = ${grantId} AND connected_at > now() - ${seconds} * interval '1 s')`
/** What a row becomes whose pair was rotated away behind the database's back. */
export const AS_RESTORED = `status = 'reconnect_required', status_reason = 'restored_backup',
          lease_until = NULL, intent_gen = NULL, intent_at = NULL`
/** Nothing is wrong with the row, or Zoom was blamed for what a restore did. */
export const MAY_BE_RESTORED = `(t.status = 'connected'
          OR (t.status = 'reconnect_required' AND t.status_reason = 'rejected_by_zoom'))`

export const READ = mintStatement(
  'grant_read',
  `SELECT t.status, t.status_reason AS "statusReason", t.gen, t.access_ct AS "accessCt", t.lease_owner AS "leaseOwner",
          EXTRACT(EPOCH FROM t.access_expires_at - clock_timestamp())::float8 AS "accessLifeSeconds",
          EXTRACT(EPOCH FROM t.access_expires_at)::float8 AS "accessExpiresAtSeconds",
          COALESCE(EXTRACT(EPOCH FROM t.lease_until - clock_timestamp()), 0)::float8 AS "leaseLeftSeconds",
          ${STORED_AT}, g.blocked_reason AS "blockedReason", g.zoom_app_id AS "zoomAppId"
     FROM grant_tokens t JOIN grants g ON g.id = t.grant_id WHERE t.grant_id = $1`,
)

/**
 * Takes the lease, writes the intent and opens the attempt in one commit, before any byte is sent; never waits. It also reads
 * the latest of the history: whether an attempt knows of a later generation than the row (then the row is an old one, put
 * back), and whether the attempt that brought this pair had a twin that may have been spent as well (its request may have come later).
 */
export const ACQUIRE = mintStatement(
  'grant_acquire',
  `WITH o AS (
     SELECT grant_id, gen, intent_gen, lease_seq, refreshed_at FROM grant_tokens
      WHERE grant_id = $1 AND gen = $2 AND status = 'connected'
        AND (lease_until IS NULL OR lease_until < clock_timestamp())
      FOR UPDATE SKIP LOCKED),
   h AS (
     SELECT max(a.lease_seq) AS lease_seq,
            COALESCE(bool_or(a.gen > o.gen AND a.started_at > o.refreshed_at), false) AS is_behind,
            COALESCE(bool_or(a.gen = o.gen - 1 AND a.outcome = 'ok')
              AND bool_or(a.gen = o.gen - 1 AND (a.outcome IS NULL OR a.outcome NOT IN ('ok', 'retryable'))), false)
              AS had_twin
       FROM refresh_attempts a JOIN o ON o.grant_id = a.grant_id WHERE a.lease_seq > o.lease_seq - 200),
   u AS (
     UPDATE grant_tokens t
        SET lease_until = clock_timestamp() + interval '45 s', lease_seq = GREATEST(t.lease_seq, h.lease_seq) + 1,
            lease_owner = $3, intent_gen = t.gen, intent_at = clock_timestamp()
       FROM o, h WHERE t.grant_id = o.grant_id
     RETURNING t.gen, t.lease_seq, t.refresh_ct, (o.intent_gen IS NOT NULL) AS recovering, h.is_behind, h.had_twin,
               EXTRACT(EPOCH FROM clock_timestamp() - t.refreshed_at)::float8 AS pair_age),
   a AS (
     INSERT INTO refresh_attempts (id, grant_id, gen, lease_seq, recovering, started_at)
     SELECT $4, $1, gen, lease_seq, recovering, clock_timestamp() FROM u)
   SELECT gen, lease_seq AS "leaseSeq", refresh_ct AS "refreshCt", recovering, is_behind AS "isBehindHistory",
          had_twin AS "hadTwin", pair_age AS "pairAgeSeconds" FROM u`,
)

/**
 * Stores a rotation by compare-and-set on the generation. The lease is not required: this may be the only living pair. Run
 * again after a lost answer it changes nothing, not even the history: `outcome IS NULL` keeps what the first run wrote.
 */
export const PERSIST = mintStatement(
  'grant_persist',
  `WITH u AS (
     UPDATE grant_tokens
        SET refresh_ct = $3, access_ct = $4, access_expires_at = clock_timestamp() + $5 * interval '1 s',
            refreshed_at = clock_timestamp(), gen = gen + 1, intent_gen = NULL, intent_at = NULL,
            status = 'connected', status_reason = NULL,
            lease_until = CASE WHEN lease_seq = $6 THEN NULL ELSE lease_until END
      WHERE grant_id = $1 AND gen = $2 AND status <> 'disconnected'
     RETURNING gen, refreshed_at, consent_epoch, consent_reason),
   g AS (
     UPDATE grants SET scopes = CASE WHEN cardinality($7::text[]) > 0 THEN $7 ELSE scopes END,
                       blocked_reason = NULLIF(blocked_reason, 'admin_disabled')
      WHERE id = $1 AND EXISTS (SELECT FROM u)),
   a AS (
     UPDATE refresh_attempts
        SET ended_at = clock_timestamp(), outcome = CASE WHEN EXISTS (SELECT FROM u) THEN 'ok' ELSE 'sibling_won' END
      WHERE grant_id = $1 AND lease_seq = $6 AND outcome IS NULL)
   SELECT ${STORED_PAIR} FROM u`,
)

/** What a write of a pair meets, or finds when it changed nothing. */
export const STORED = mintStatement(
  'grant_stored',
  `SELECT gen, status, refresh_ct AS "refreshCt", access_ct AS "accessCt", lease_owner AS "leaseOwner",
          ${STORED_PAIR},
          EXTRACT(EPOCH FROM clock_timestamp() - refreshed_at)::float8 AS "pairAgeSeconds",
          EXISTS (SELECT FROM refresh_attempts a WHERE a.grant_id = t.grant_id AND a.gen = t.gen - 1 AND a.outcome = 'ok')
            AS "isRefreshed"
     FROM grant_tokens t WHERE grant_id = $1`,
)

/**
 * The database has lost a rotation that it had confirmed to this process (restored, or failed over to a standby that lagged),
 * and the pair is still in memory: it goes back under the generation that it was sealed for, and no earlier a consent than it
 * was stored under. A lease on the old pair is void.
 */
export const HEAL = mintStatement(
  'grant_heal',
  `UPDATE grant_tokens
      SET gen = $3, refresh_ct = $4, access_ct = $5, access_expires_at = clock_timestamp() + $6 * interval '1 s',
          refreshed_at = clock_timestamp(), status = 'connected', status_reason = NULL,
          lease_until = NULL, intent_gen = NULL, intent_at = NULL,
          consent_epoch = GREATEST(consent_epoch, $7),
          consent_reason = CASE WHEN $7 > consent_epoch THEN $8 ELSE consent_reason END
    WHERE grant_id = $1 AND gen = $2 AND gen < $3 AND status <> 'disconnected'
   RETURNING ${STORED_AT}`,
)

/** The same, where the pair is gone: what the row holds was rotated away. Nothing of it is spent. */
export const CONDEMN_RESTORED = mintStatement(
  'grant_condemn_restored',
  `UPDATE grant_tokens t SET ${AS_RESTORED}
    WHERE t.grant_id = $1 AND t.gen = $2 AND ${MAY_BE_RESTORED} RETURNING gen`,
)

/** The generations that the database knows now, of grants whose later one was seen. */
export const GENERATIONS = statement(
  'grant_generations',
  `SELECT grant_id AS "grantId", gen, status, ${STORED_AT}
     FROM grant_tokens WHERE grant_id = ANY($1::uuid[])`,
)

/** Condemns the pair: only with the very lease under which Zoom refused it, and only if nothing moved since. */
export const VERDICT = mintStatement(
  'grant_verdict',
  `WITH u AS (
     UPDATE grant_tokens
        SET status = 'reconnect_required', status_reason = $4, lease_until = NULL, died_at = clock_timestamp(),
            death_reason = $4, death_age_seconds = EXTRACT(EPOCH FROM clock_timestamp() - refreshed_at)
      WHERE grant_id = $1 AND gen = $2 AND lease_seq = $3 AND status = 'connected' RETURNING gen),
   a AS (
     UPDATE refresh_attempts
        SET ended_at = clock_timestamp(), outcome = CASE WHEN EXISTS (SELECT FROM u) THEN $5 ELSE 'sibling_won' END
      WHERE grant_id = $1 AND lease_seq = $3 AND outcome IS NULL)
   SELECT gen FROM u`,
)

/**
 * Gives the lease back after a failure that provably spent nothing. An older intent stays open: only the attempt that opened
 * it may close it. A pause ($5 seconds, named by $6) keeps every replica from asking before Zoom's Retry-After has passed.
 */
export const RELEASE = mintStatement(
  'grant_release',
  `WITH u AS (
     UPDATE grant_tokens
        SET lease_until = CASE WHEN $5::float8 > 0 THEN clock_timestamp() + $5 * interval '1 s' END, lease_owner = $6,
            intent_gen = CASE WHEN $4 THEN intent_gen END, intent_at = CASE WHEN $4 THEN intent_at END
      WHERE grant_id = $1 AND gen = $2 AND lease_seq = $3 RETURNING gen),
   a AS (
     UPDATE refresh_attempts SET ended_at = clock_timestamp(), outcome = $7 WHERE grant_id = $1 AND lease_seq = $3)
   SELECT gen FROM u`,
)

/**
 * After a 5xx: Zoom may have rotated, or do so later, behind whatever answered in its place. So the intent stays, and the history
 * calls it ambiguous; the recovery may come in 5 s instead of at the lease's end.
 */
export const SHORTEN = mintStatement(
  'grant_shorten',
  `WITH u AS (
     UPDATE grant_tokens SET lease_until = clock_timestamp() + interval '5 s', lease_owner = 'pause:zoom_unavailable'
      WHERE grant_id = $1 AND gen = $2 AND lease_seq = $3 RETURNING gen),
   a AS (
     UPDATE refresh_attempts SET ended_at = clock_timestamp(), outcome = 'ambiguous' WHERE grant_id = $1 AND lease_seq = $3)
   SELECT gen FROM u`,
)

/** The outcome stays unknown: intent and lease are left as they are, only the history says what was seen. */
export const NOTE_AMBIGUOUS = mintStatement(
  'grant_note_ambiguous',
  `UPDATE refresh_attempts SET ended_at = clock_timestamp(), outcome = 'ambiguous' WHERE grant_id = $1 AND lease_seq = $2`,
)

/** The access token was refused by the API: whoever comes next renews it, if it is still this generation. */
export const STALE = mintStatement(
  'grant_stale',
  `UPDATE grant_tokens SET access_expires_at = clock_timestamp() WHERE grant_id = $1 AND gen = $2`,
)

export const BLOCK = mintStatement('grant_block', `UPDATE grants SET blocked_reason = $2 WHERE id = $1`)

/** A Zoom user authorised the app (again): his one grant, its scopes, and no block any more. */
export const ADMIT_GRANT = mintStatement(
  'grant_admit',
  `INSERT INTO grants (id, zoom_app_id, zoom_user_id, zoom_account_id, scopes) VALUES ($1, $2, $3, $4, $5)
   ON CONFLICT (zoom_app_id, zoom_user_id) DO UPDATE
      SET zoom_account_id = COALESCE(excluded.zoom_account_id, grants.zoom_account_id), scopes = excluded.scopes,
          connected_at = now(), blocked_reason = NULL
   RETURNING id`,
)

export const FIRST_PAIR = mintStatement(
  'grant_first_pair',
  `INSERT INTO grant_tokens (grant_id, status, gen, refresh_ct, access_ct, access_expires_at, refreshed_at)
   VALUES ($1, 'connected', 1, $2, $3, clock_timestamp() + $4 * interval '1 s', clock_timestamp())
   ON CONFLICT (grant_id) DO NOTHING
   RETURNING ${STORED_PAIR}`,
)

/**
 * A new authorisation replaces the pair by compare-and-set and voids lease and intent, so that a refresh in flight can neither
 * overwrite nor condemn it. Where the user himself had ended the grant, only hosts linked from now on follow (consent_epoch).
 */
export const RECONNECT = mintStatement(
  'grant_reconnect',
  `UPDATE grant_tokens
      SET gen = $2 + 1, refresh_ct = $3, access_ct = $4, access_expires_at = clock_timestamp() + $5 * interval '1 s',
          refreshed_at = clock_timestamp(), status = 'connected', status_reason = NULL,
          lease_until = NULL, intent_gen = NULL, intent_at = NULL,
          consent_epoch = consent_epoch + (CASE WHEN status = 'reconnect_required'
            AND status_reason IN ('deauthorized', 'user_removed', 'rejected_by_zoom') THEN 1 ELSE 0 END),
          consent_reason = CASE WHEN status = 'reconnect_required'
            AND status_reason IN ('deauthorized', 'user_removed', 'rejected_by_zoom') THEN status_reason ELSE consent_reason END
    WHERE grant_id = $1 AND gen = $2
   RETURNING ${STORED_PAIR}`,
)

/** Of a person whose grant was let go meanwhile nothing is noted. */
export const NOTE_PROFILE = statement(
  'grant_note_profile',
  `UPDATE grants SET email = $2, display_name = $3, pmi = $4, personal_link_host = $5, personal_link_name = $6
     FROM grant_tokens t
    WHERE id = $1 AND t.grant_id = id AND t.status <> 'disconnected' AND t.status_reason IS DISTINCT FROM 'deauthorized'`,
)

/** Consented to within the last $2 seconds counts too: its link may be on its way. */
export const IS_LINKED = statement(
  'grant_is_linked',
  `SELECT NOT (${isUnlinked('$1')} AND ${isQuiet('$1', '$2')}) AS "isLinked"`,
)

/**
 * Erases the tokens and the person's data where nobody links the grant. The generation moves, so a late rotation finds no row;
 * $3 tells whoever brings one whether it is to be revoked.
 */
export const DISCONNECT = statement(
  'grant_disconnect',
  `WITH u AS (
     UPDATE grant_tokens t
        SET gen = gen + 1, status = 'disconnected', status_reason = NULL, refresh_ct = NULL, access_ct = NULL,
            access_expires_at = NULL, lease_until = NULL, lease_owner = $3, intent_gen = NULL, intent_at = NULL
      WHERE t.grant_id = $1 AND t.gen = $2 AND ${isUnlinked('$1')} AND ${isQuiet('$1', '$4')}
     RETURNING gen),
   g AS (UPDATE grants SET ${NO_PERSON} WHERE id = $1 AND EXISTS (SELECT FROM u))
   SELECT gen FROM u`,
)

/** Keeps tokens and is linked by nobody, at least $2 seconds after its last consent and its last refresh. */
export const UNLINKED = statement(
  'grant_unlinked',
  `SELECT g.id FROM grants g JOIN grant_tokens t ON t.grant_id = g.id
    WHERE t.status <> 'disconnected' AND GREATEST(g.connected_at, t.refreshed_at) < now() - $2 * interval '1 s'
      AND ${isUnlinked('g.id')}
    ORDER BY random() LIMIT $1`,
)

/**
 * One page of the history past its time, from ($1, $2) on: deletes what is no more of a grant's current generation or of the
 * one before, by which verdicts are reached, and after 90 days all of it, since no refresh token lives so long.
 */
export const PURGE_ATTEMPTS = statement(
  'grant_purge_attempts',
  `WITH page AS (
     SELECT id, grant_id, gen, started_at FROM refresh_attempts
      WHERE started_at < now() - ${ageOf('refresh_attempts')} AND (started_at, id) > ($1::timestamptz, $2::uuid)
      ORDER BY started_at, id LIMIT $3),
   gone AS (
     DELETE FROM refresh_attempts a USING page p, grant_tokens t
      WHERE a.id = p.id AND t.grant_id = p.grant_id
        AND (p.gen < t.gen - 1 OR p.started_at < now() - interval '90 days'))
   SELECT started_at::text AS "startedAt", id FROM page ORDER BY started_at DESC, id DESC LIMIT 1`,
)

/** Rows of an app (or of a tenant's own apps) that nobody links any more: their tokens were erased when the last link went. */
export const FORGET = statement(
  'grant_forget',
  `DELETE FROM grants g USING zoom_apps a
    WHERE a.id = g.zoom_app_id AND (a.id = $1 OR a.tenant_id = $2)
      AND ${isUnlinked('g.id')}
   RETURNING g.id`,
)

/** For the metrics, and for the doctor: a scan, so about once a minute. */
export const COUNTS = statement(
  'grant_counts',
  `SELECT status, status_reason AS reason, count(*)::int AS count,
          COALESCE(EXTRACT(EPOCH FROM clock_timestamp() - min(intent_at) FILTER (WHERE status = 'connected')), 0)::float8
            AS "oldestOpenIntentSeconds"
     FROM grant_tokens GROUP BY status, status_reason ORDER BY status, status_reason`,
)
