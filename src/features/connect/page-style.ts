import { createHash } from 'node:crypto'

/** System fonts and no images: the pages load nothing. Colours keep a contrast of at least 4.5 in both schemes. */
export const PAGE_STYLE = `
:root{color-scheme:light dark;--page:#f3f5f8;--card:#fff;--ink:#17202c;--soft:#556070;--line:#dfe4ea;--ok:#11713f;--ok-tint:#e2f4ea;--bad:#9a4a00;--bad-tint:#fdefdd;--link:#0b57c2;--shadow:0 1px 2px #1018281a,0 12px 32px #1018280f}
@media (prefers-color-scheme:dark){:root{--page:#10151c;--card:#19202a;--ink:#eef2f7;--soft:#a5b0bf;--line:#2c3643;--ok:#63d39a;--ok-tint:#163427;--bad:#f2b56b;--bad-tint:#3b2a14;--link:#82b4ff;--shadow:none}}
*{box-sizing:border-box}
body{margin:0;min-height:100vh;min-height:100dvh;display:flex;flex-direction:column;align-items:center;padding:1.25rem 1rem 2rem;background:var(--page);color:var(--ink);font:1.0625rem/1.6 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,sans-serif;-webkit-text-size-adjust:100%}
main{width:100%;max-width:33rem;margin:auto 0;background:var(--card);border:1px solid var(--line);border-radius:1.25rem;box-shadow:var(--shadow);overflow:hidden}
header{padding:2rem 1.5rem 1.25rem}
.mark{display:flex;width:3.5rem;height:3.5rem;margin-bottom:1.25rem;border-radius:50%;align-items:center;justify-content:center}
.mark svg{width:1.75rem;height:1.75rem;fill:none;stroke:currentColor;stroke-width:2.5;stroke-linecap:round;stroke-linejoin:round}
.ok .mark{background:var(--ok-tint);color:var(--ok)}
.bad .mark{background:var(--bad-tint);color:var(--bad)}
h1{margin:0 0 .625rem;font-size:1.75rem;line-height:1.2;letter-spacing:-.015em;text-wrap:balance}
h2{margin:0 0 .375rem;font-size:1.0625rem;line-height:1.4}
p{margin:0}
p+p{margin-top:.75rem}
p,li{text-wrap:pretty}
b{font-weight:600;overflow-wrap:anywhere}
a{color:var(--link)}
ol,ul{margin:.5rem 0 0;padding-left:1.5rem}
li+li{margin-top:.25rem}
.lead{font-size:1.1875rem;line-height:1.5}
bdi{overflow-wrap:anywhere}
section{padding:1.25rem 1.5rem;border-top:1px solid var(--line)}
section p,section ol,section ul{color:var(--soft)}
section b{color:var(--ink)}
footer{padding:1rem 1.5rem 1.25rem;border-top:1px solid var(--line);color:var(--soft);font-size:.875rem}
dl{display:grid;grid-template-columns:auto 1fr;gap:.125rem .75rem;margin:.5rem 0 0}
dt{font-weight:600}
dd{margin:0;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;overflow-wrap:anywhere}
@media (min-width:40rem){header{padding:2.5rem 2.5rem 1.5rem}section,footer{padding-left:2.5rem;padding-right:2.5rem}}
`

const styleHash = createHash('sha256').update(PAGE_STYLE).digest('base64')

/** Nothing loads, nothing runs, nothing frames or is framed; the one style is named by its hash. */
export const PAGE_CSP = `default-src 'none'; style-src 'sha256-${styleHash}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'`
