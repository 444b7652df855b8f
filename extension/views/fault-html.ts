/** The page that explains a fault: chain, walk with guest levels down and the EPT's across, rights, TLB, control registers. No scripts; links are commands. */
import type {
  CodePlace,
  FaultBody,
  FaultLinkBody,
  TlbDetailsBody,
  WalkEntryBody,
  WalkReportBody,
} from '../../debug-adapter/protocol.ts';

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};
const escape = (text: string): string => text.replace(/[&<>"']/g, (character) => ESCAPES[character]!);
const code = (text: string): string => `<code>${escape(text)}</code>`;

/** Sources open beside the page, not over it (vscode.ViewColumn.One). */
const FIRST_COLUMN = 1;

/** @param revealCommand command that takes a path, a line and a column */
export function faultHtml(fault: FaultBody, revealCommand: string): string {
  const { title, headline, chain, walk, tlb, tlbSummary, controls, advice } = fault;
  const sections = [
    `<h1>${escape(title)}</h1><p class="headline">${escape(headline)}</p>`,
    advice ? `<p class="advice">${escape(advice)}</p>` : '',
    chain.length > 0 ? chainHtml(chain, revealCommand) : '',
    walk ? walkHtml(walk) + rightsHtml(walk) : '',
    walk ? tlbHtml(tlb, tlbSummary, revealCommand) : '',
    `<h2>Control registers</h2><table class="plain">${controls
      .map(({ name, value, text }) => `<tr><th>${name}</th><td>${code(value)}</td><td>${escape(text)}</td></tr>`)
      .join('')}</table>`,
  ];
  const policy = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline';">`;
  return `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8">${policy}<style>${STYLE}</style></head><body>${sections.join('\n')}</body></html>`;
}

function placeHtml({ rip, symbol, source }: CodePlace, command: string): string {
  const name = `${code(rip)}${symbol ? ` ${escape(symbol)}` : ''}`;
  if (!source) return name;
  const args = encodeURIComponent(JSON.stringify([source.path, source.line, FIRST_COLUMN]));
  const file = source.path.slice(source.path.lastIndexOf('/') + 1);
  return `${name} <a href="command:${command}?${args}">${escape(file)}:${source.line}</a>`;
}

function chainHtml(chain: readonly FaultLinkBody[], command: string): string {
  const rows = chain.map((link) => {
    const where = [link.gva && `address ${code(link.gva)}`, link.gpa && `GPA ${code(link.gpa)}`]
      .filter(Boolean)
      .join(', ');
    const lines = [
      `<b>${escape(link.name)}</b> ${escape(link.title)}${link.errorCode ? ` ${code(link.errorCode)}` : ''}${link.errorText ? ` (${escape(link.errorText)})` : ''}`,
      `${where ? `${where}, ` : ''}at ${placeHtml(link.place, command)}, ring ${link.cpl}`,
      link.because ? escape(link.because) : '',
      link.result ? `<span class="quiet">${escape(link.result)}</span>` : '',
      link.failed && link.failed !== link.because
        ? `<span class="refused">not delivered: ${escape(link.failed)}</span>`
        : '',
    ];
    return `<li>${lines.filter(Boolean).join('<br>')}</li>`;
  });
  const title = chain.length > 1 ? 'Chain of faults' : 'What happened';
  return `<h2>${title}</h2><ol class="chain">${rows.join('')}</ol>`;
}

/** Guest levels are rows, the EPT levels that lead to each are columns. Where an entry stands is said by its tooltip. */
function walkHtml({ gva, access, user, paging, levels, result, ok }: WalkReportBody): string {
  const names = [...new Set(levels.flatMap(({ ept }) => ept.map(({ name }) => name)))];
  const asked = `${access} of ${code(gva)} by ${user ? 'ring 3' : 'ring 0'}, ${escape(paging)}`;
  const head = ['', names.length > 0 ? 'guest entry' : 'entry', ...names]
    .map((name) => `<th>${escape(name)}</th>`)
    .join('');
  const rows = levels.map(({ name, entry, ept }) => {
    const cells = names.map((column) => cellHtml(ept.find((step) => step.name === column)));
    return `<tr><th>${escape(name)}</th>${cellHtml(entry, true)}${cells.join('')}</tr>`;
  });
  const table =
    levels.length === 0 ? '' : `<div class="wide"><table class="walk"><tr>${head}</tr>${rows.join('')}</table></div>`;
  return `<h2>Walk</h2><p>${asked}: <span class="${ok ? 'given' : 'refused'}">${escape(result)}</span></p>${table}`;
}

function cellHtml(entry: WalkEntryBody | undefined, guest = false): string {
  if (!entry) return '<td></td>';
  const { gpa, hpa, value, flags, target, outcome, refused } = entry;
  const place = `${guest ? `gpa:${gpa} ` : ''}hpa:${hpa}${target ? ` → ${guest ? 'gpa' : 'hpa'}:${target}` : ''}`;
  const why = refused ? `<br><b>${escape(outcome)}</b>` : '';
  return `<td title="${escape(place)}"${refused ? ' class="refused"' : ''}>${code(value)}<br>${escape(flags)}${why}</td>`;
}

function rightsHtml({ rights }: WalkReportBody): string {
  if (rights.length === 0) return '';
  const rows = rights.map(({ right, wanted, given, decidedBy }) => {
    const verdict = given ? '<td class="given">given</td>' : '<td class="refused">refused</td>';
    return `<tr${wanted ? ' class="wanted"' : ''}><th>${right}${wanted ? ' (wanted)' : ''}</th>${verdict}<td>${decidedBy.map(escape).join('<br>')}</td></tr>`;
  });
  return `<h2>Rights in effect</h2><table class="plain">${rows.join('')}</table>`;
}

function tlbHtml(tlb: readonly TlbDetailsBody[], summary: string, command: string): string {
  const rows = tlb.map(({ tags, current, summary: text, entry, missing, change }) => {
    const lines = [
      `${escape(tags)}${current ? ' <b>(in force)</b>' : ''}`,
      `<span class="${entry.stale ? 'refused' : 'quiet'}">${entry.stale ? '<b>stale</b>: ' : ''}${escape(text)}</span>`,
      missing.length > 0 ? `missing: ${missing.map(code).join(', or ')}` : '',
      change
        ? `${code(change.old)} became ${code(change.new)} at hpa:${change.hpa} by ${placeHtml(change.place, command)}`
        : '',
    ];
    return `<li>${lines.filter(Boolean).join('<br>')}</li>`;
  });
  return `<h2>TLB</h2><p>${escape(summary)}</p>${rows.length > 0 ? `<ul>${rows.join('')}</ul>` : ''}`;
}

const STYLE = `
body { padding: 0 1.5em 2em; color: var(--vscode-foreground); font-family: var(--vscode-font-family); font-size: var(--vscode-font-size); }
h1 { font-size: 1.4em; margin: 0.8em 0 0.2em; } h2 { font-size: 1.05em; margin: 1.2em 0 0.4em; }
code { font-family: var(--vscode-editor-font-family); color: inherit; background: none; }
table { border-collapse: collapse; } th { text-align: left; font-weight: 600; }
td, th { padding: 0.25em 0.7em; vertical-align: top; }
div.wide { overflow-x: auto; } table.walk { font-size: 0.92em; }
table.walk td, table.walk th { border: 1px solid var(--vscode-panel-border, #8884); white-space: nowrap; }
.headline { margin: 0; } .advice { border-left: 3px solid var(--vscode-charts-blue, #3794ff); padding-left: 0.8em; }
.quiet { color: var(--vscode-descriptionForeground); }
.given { color: var(--vscode-charts-green, #89d185); } .refused { color: var(--vscode-errorForeground, #f48771); }
table.walk td.refused { background: var(--vscode-inputValidation-errorBackground, #5a1d1d); outline: 2px solid var(--vscode-errorForeground, #f48771); outline-offset: -2px; }
tr.wanted th { text-decoration: underline; } ol.chain li, ul li { margin-bottom: 0.5em; }
`;
