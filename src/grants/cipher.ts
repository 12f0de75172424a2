import type { SealContext } from '../lib/sealing.ts'
import type { SecretBox } from '../secrets/box.ts'

/** Seals a grant's tokens to their row, column and generation. */
export interface GrantCipher {
  sealPair(
    grantId: string,
    gen: bigint,
    tokens: { accessToken: string; refreshToken: string },
  ): Promise<{ refreshCt: Buffer; accessCt: Buffer }>
  /** Loads the data key that the next pair will be sealed under. */
  prepare(grantId: string): Promise<void>
  openRefreshToken(grantId: string, gen: bigint, ciphertext: Uint8Array): Promise<string>
  openAccessToken(grantId: string, gen: bigint, ciphertext: Uint8Array): Promise<string>
}

const placeOf = (grantId: string, column: string, generation: bigint): SealContext => ({
  ownerId: grantId,
  table: 'grant_tokens',
  column,
  rowId: grantId,
  generation,
})

export function createGrantCipher(box: SecretBox): GrantCipher {
  return {
    async sealPair(grantId, gen, { accessToken, refreshToken }) {
      const refreshCt = await box.seal(placeOf(grantId, 'refresh_ct', gen), refreshToken)
      const accessCt = await box.seal(placeOf(grantId, 'access_ct', gen), accessToken)
      return { refreshCt, accessCt }
    },
    async prepare(grantId) {
      await box.seal(placeOf(grantId, 'refresh_ct', 0n), '')
    },
    openRefreshToken: (grantId, gen, ciphertext) => box.open(placeOf(grantId, 'refresh_ct', gen), ciphertext),
    openAccessToken: (grantId, gen, ciphertext) => box.open(placeOf(grantId, 'access_ct', gen), ciphertext),
  }
}
