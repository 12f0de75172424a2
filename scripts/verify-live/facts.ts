/** What nobody has promised us, and what Latchkey builds on. The order is that of the report. */
const QUESTIONS = {
  zoom_old_access_token_after_refresh: {
    question: 'Does a refresh end the unexpired access token before it?',
    assumption: 'It may die at once: on 401 the row is read again and the call made once more with the newer token.',
  },
  zoom_access_token_life: {
    question: 'How long does a fresh access token live?',
    assumption: 'An hour, so that 3,000 s can be kept in hand.',
  },
  zoom_identity: {
    question: 'Do /users/me, or the claims of the access token, name the user?',
    assumption: 'One of the two does; without the scope for /users/me the claims uid and aid are used.',
  },
  zoom_join_token: {
    question: 'Does the host get a join token for a meeting that has not begun, and how long does it live?',
    assumption: '120 s; it may fail before the meeting begins, so it is made when the bot joins.',
  },
  zoom_non_host_code: {
    question: 'How does Zoom refuse the join token of somebody else’s meeting?',
    assumption: 'With some 4xx, which means "cannot mint" and says nothing about the grant.',
  },
  zoom_unknown_meeting_code: {
    question: 'How does Zoom refuse the join token of a number that is no meeting?',
    assumption: 'With some 4xx, which means "cannot mint" and says nothing about the grant.',
  },
  zoom_obf_without_meeting: {
    question: 'Is an OBF token made without meeting_id?',
    assumption: 'Perhaps not: meeting_id is always sent.',
  },
  zoom_obf_reuse: {
    question: 'Does one OBF token let a bot in twice?',
    assumption: 'No: every request gets a token of its own.',
  },
  zoom_refresh_rotates: {
    question: 'Does every refresh bring another refresh token?',
    assumption: 'Yes: the new pair is stored before anything is done with it.',
  },
  zoom_refresh_reuse: {
    question: 'What does a refresh token answer that was spent already, and what becomes of its successor?',
    assumption: 'It is refused, and the whole grant may die with it: a token is presented once, save for one recovery.',
  },
  zoom_revoke_by_refresh_token: {
    question: 'Does a refresh token revoke the grant?',
    assumption: 'No: the grant is revoked by its access token.',
  },
  zoom_grant_survives: {
    question: 'Is the host still connected after all these refusals?',
    assumption: 'Yes: no refusal of a mint condemns a grant.',
  },
  recall_signed_per_kind: {
    question: 'Are the callbacks of every kind signed?',
    assumption: 'Yes, once the workspace has a secret: an unsigned one is refused.',
  },
  recall_calls_per_kind: {
    question: 'How often does one bot call each URL?',
    assumption: 'Once or many times, up to 5,000 an hour: each call gets a token of its own.',
  },
  recall_id_reuse: {
    question: 'Do requests of one bot share a webhook-id?',
    assumption: 'They may: an id is bound to the pass it first came with and serves that pass again.',
  },
  recall_retry_after_404: {
    question: 'Is a URL called again that answered 404?',
    assumption: 'Perhaps: every call is answered anew.',
  },
  recall_bot_after_refused_join_token: {
    question: 'What does a bot do whose join token was refused?',
    assumption: 'It goes on without, into the waiting room, or fails: the ledger tells of it at once.',
  },
  recall_access_callback_signed: {
    question: 'Is the request for access_token_callback_url signed like a bot’s?',
    assumption: 'Yes: an unsigned one is refused.',
  },
} as const

export type FactId = keyof typeof QUESTIONS
export type Verdict = 'PASS' | 'FAIL' | 'UNSEEN'

/** Numbers, codes and words of ours; never what came over the wire. */
export type Seen = Record<string, unknown>

interface Finding {
  verdict: Verdict
  seen: Seen | null
  /** Whether it is the assumption itself that was seen, and not its opposite. */
  asAssumed: boolean | null
  reason: string | null
}

export const VERDICTS: Record<Verdict, string> = {
  PASS: 'Seen, and it is what Latchkey assumes (as_assumed true) or another reading that it is built to bear (as_assumed false).',
  FAIL: 'Seen, and Latchkey is not built for it: please tell us.',
  UNSEEN: 'Not seen in this run; reason says why.',
}

export type Notebook = ReturnType<typeof createNotebook>

/** Collects what was seen, each fact once: what was seen first stays. */
export function createNotebook() {
  const findings = new Map<FactId, Finding>()
  const note = (id: FactId, finding: Finding) => {
    const known = findings.get(id)
    if (!known || known.verdict === 'UNSEEN') findings.set(id, finding)
  }
  return {
    pass: (id: FactId, asAssumed: boolean, seen: Seen) => note(id, { verdict: 'PASS', seen, asAssumed, reason: null }),
    fail: (id: FactId, reason: string, seen: Seen) => note(id, { verdict: 'FAIL', seen, asAssumed: false, reason }),
    unseen(ids: FactId[], reason: string): void {
      for (const id of ids) note(id, { verdict: 'UNSEEN', seen: null, asAssumed: null, reason })
    },
    /** In the order of the questions. */
    facts: () =>
      (Object.keys(QUESTIONS) as FactId[]).map((id) => {
        const { verdict, seen, asAssumed, reason } = findings.get(id) ?? {
          verdict: 'UNSEEN' as const,
          seen: null,
          asAssumed: null,
          reason: 'not reached',
        }
        return { id, ...QUESTIONS[id], verdict, as_assumed: asAssumed, seen, reason }
      }),
  }
}
