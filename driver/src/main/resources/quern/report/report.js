'use strict';
const { report, programs } = JSON.parse(document.getElementById('data').textContent);
const byId = id => document.getElementById(id);

// ---- words and numbers

const round = (x, digits = 3) => Number(x).toLocaleString('en', { maximumSignificantDigits: digits });
// With the zeros at the end: for figures that are measured, and for columns.
const aligned = (x, digits = 3) => Number(x).toLocaleString('en', { minimumSignificantDigits: digits, maximumSignificantDigits: digits });
const count = x => Number(x).toLocaleString('en');
const plural = (n, word) => count(n) + ' ' + word + (n === 1 ? '' : 's');
const percent = x => (x > 0 ? '+' : x < 0 ? '−' : '') + round(Math.abs(100 * x), 2) + ' %';
function bytes(n) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let u = 0;
  for (; n >= 1000 && u < units.length - 1; u++) n /= 1000;
  return round(n) + ' ' + units[u];
}
function duration(s) {
  if (s < 100) return round(s) + ' s';
  const minutes = Math.round(s / 60);
  return minutes < 100 ? minutes + ' min' : Math.floor(minutes / 60) + ' h ' + (minutes % 60) + ' min';
}
// Ratios are undefined where round-to-nearest is already exact: then ours must be exact too, or it is worse without bound.
const ratio = l => l.roundToNearest > 0 ? l.loss / l.roundToNearest : l.loss > 0 ? Infinity : 1;

// ---- small pieces of page; text only ever enters as text

function element(tag, className, ...children) {
  const e = document.createElement(tag);
  if (className) e.className = className;
  e.append(...children);
  return e;
}
function table(head, rows, className = '') { // scrolls by itself where the window is narrow
  const numeric = c => typeof c === 'string' && /^[-−+]?[\d.,]+( ×| %| s)?$/.test(c);
  const numbers = head.map((_, i) => rows.length > 0 && rows.every(r => numeric(r[i])));
  const cell = (tag, text, i) => element(tag, numbers[i] ? 'n' : '', text);
  return element('div', 'table', element('table', className,
    element('thead', '', element('tr', '', ...head.map((h, i) => cell('th', h, i)))),
    element('tbody', '', ...rows.map(r => element('tr', '', ...r.map((c, i) => cell('td', c, i)))))));
}
function figure(label, value, remark, from) {
  const shown = element('div', 'value');
  if (from) shown.append(element('span', 'from', from + ' → '));
  shown.append(value);
  return element('div', 'figure', element('div', 'label', label), shown, element('div', 'remark', remark));
}
function block(text) {
  const box = element('div', 'block', element('pre', '', text));
  if (navigator.clipboard) {
    const button = element('button', '', 'Copy');
    button.addEventListener('click', () => navigator.clipboard.writeText(text).then(() => {
      button.textContent = 'Copied';
      setTimeout(() => { button.textContent = 'Copy'; }, 1500);
    }));
    box.append(button);
  }
  return box;
}

// ---- headline

const { recipe, size, evaluation, linears } = report;
const order = { STATIC: 'static act-order', GROUP: 'group-aware order', FULL: 'full act-order', OFF: 'natural order' };
byId('model').textContent = report.model;
byId('recipe').textContent = [
  ...(recipe.bits > 0 ? [
    recipe.ternary ? 'ternary' : recipe.bits + '-bit ' + recipe.method.toUpperCase(),
    recipe.groupSize === -1 ? 'one scale a row' : 'groups of ' + recipe.groupSize,
    recipe.symmetric ? 'symmetric' : 'asymmetric',
  ] : [recipe.method.toUpperCase()]), // the format has widths of its own
  ...(recipe.method === 'rtn' ? [] : [order[recipe.actOrder]]),
  recipe.format + ' format'].join(' · ');
if (report.lossy) {
  byId('lossy').textContent = report.lossy[0].toUpperCase() + report.lossy.slice(1) + '.';
  byId('lossy').hidden = false;
}

const noted = linears.filter(l => l.notes.length > 0);
const headline = byId('headline');
if (evaluation) {
  headline.append(
    figure('Perplexity', aligned(evaluation.perplexityAfter, 4),
      percent(evaluation.perplexityAfter / evaluation.perplexityBefore - 1) + ' on ' + evaluation.text,
      aligned(evaluation.perplexityBefore, 4)),
    figure('KL to the source', aligned(evaluation.kl), 'nats per token; lower is better'),
    figure('Same first choice', aligned(100 * evaluation.top1) + ' %', 'of ' + plural(evaluation.windows * (evaluation.window - 1), 'token')));
} else {
  headline.append(figure('Quality', 'not measured', 'quern eval DIR --against MODEL measures it'));
}
headline.append(
  figure('Size', bytes(size.after), size.after <= size.before
    ? round(size.before / size.after, 2) + ' × smaller' : round(size.after / size.before, 2) + ' × larger', bytes(size.before)),
  linears.length === 0 ? figure('Bits per weight', '16', 'no linear is quantized')
    : figure('Bits per weight', round(size.bitsPerWeight), 'scales and zeros included, ' + plural(linears.length, 'linear')),
  figure('Wall time', duration(report.wallSeconds), report.machine.executors === 1
    ? 'one executor' : report.machine.executors + ' executors'));

// ---- experts

// Of each expert what is known of its calibration: its linears share it, but for what was done to those with few tokens.
const experts = !report.calibration ? [] : [...linears.filter(l => l.expert >= 0).reduce((map, l) => {
  const key = l.layer + ' ' + l.expert;
  const e = map.get(key) || { layer: l.layer, expert: l.expert, tokens: l.tokens, inputs: 0, notes: new Set() };
  e.inputs = Math.max(e.inputs, l.inputs);
  l.notes.forEach(n => e.notes.add(n));
  return map.set(key, e);
}, new Map()).values()];
const uncovered = experts.filter(e => e.tokens < e.inputs).sort((a, b) => a.tokens - b.tokens);
if (experts.length > 0) {
  const layersWith = new Set(experts.map(e => e.layer)).size;
  const tokens = experts.map(e => e.tokens).sort((a, b) => a - b);
  byId('experts').hidden = false;
  byId('experts-lead').textContent = 'Calibration tokens that the routers of ' + plural(layersWith, 'layer') + ' sent to each expert: from '
    + count(tokens[0]) + ' to ' + count(tokens[tokens.length - 1]) + ', ' + count(tokens[tokens.length >> 1]) + ' in the middle. '
    + (uncovered.length === 0 ? 'All got at least as many as they have inputs.'
      : plural(uncovered.length, 'expert') + ' got fewer than they have inputs; what was done is said below.');
  byId('experts-legend').append(
    element('span', '', '0', element('i', 'ramp'), count(2 * tokens[tokens.length >> 1]) + ' tokens or more'),
    ...(uncovered.length > 0 ? [element('span', '', element('i', 'over'), 'fewer than inputs')] : []));
  if (uncovered.length > 0) byId('uncovered').append(table(['Layer', 'Expert', 'Tokens', 'Inputs', 'What was done'],
    uncovered.map(e => [count(e.layer), count(e.expert), count(e.tokens), count(e.inputs), [...e.notes].join('; ')]), 'noted'));
}

// ---- errors

const ratios = linears.map(ratio);
const better = ratios.filter(r => r < 1).length;
const total = key => linears.reduce((sum, l) => sum + l[key], 0);
byId('errors-lead').textContent = linears.length === 0 ? 'None: weights are what they were, but for the type of their numbers.'
  : recipe.method === 'rtn'
  ? 'Round-to-nearest is the method itself here, so every cell is 1.'
  : 'Error of each linear’s outputs on the calibration tokens, divided by that of round-to-nearest: ' + better + ' of '
    + plural(linears.length, 'linear') + ' are better, and all errors together are '
    + round(total('loss') / total('roundToNearest')) + ' times those of round-to-nearest.';
byId('heat-legend').append(
  element('span', '', '0', element('i', 'ramp'), '1 = round-to-nearest'),
  ...(ratios.some(r => r > 1) ? [element('span', '', element('i', 'over'), 'worse than it')] : []),
  ...(noted.length > 0 ? [element('span', '', element('i', 'dot'), 'see the notes')] : []));
byId('heat-legend').hidden = linears.length === 0;
const worst = linears.map((l, i) => [l, ratios[i]]).sort((a, b) => b[0].loss - a[0].loss).slice(0, 8);
if (linears.length > 0) byId('worst').append(element('h3', '', 'Most of the error'), table(
  ['Linear', 'Outputs × inputs', 'Error per token', 'Share of all', 'Against round-to-nearest'],
  worst.map(([l, r]) => [l.name, count(l.outputs) + ' × ' + count(l.inputs), aligned(l.loss),
    (100 * l.loss / (total('loss') || 1)).toFixed(1) + ' %', aligned(r)])));

const squeezed = report.memory.squeezed.map(s => ['GPU memory', s]);
byId('notes').append(noted.length === 0 && squeezed.length === 0
  ? element('span', 'none', 'None: no damping was raised and nothing fell back, in ' + plural(linears.length, 'linear') + '.')
  : table(['Linear', 'What happened'], squeezed.concat(noted.flatMap(l => l.notes.map(n => [l.name, n]))), 'noted'));

// ---- widths

// The name of a linear, the same for all experts.
const row = l => l.expert < 0 ? l.linear : l.linear.replace(new RegExp('\\b' + l.expert + '\\b'), '*');

const widths = report.widths;
if (widths) {
  byId('widths').hidden = false;
  byId('widths-lead').textContent = 'Asked for ' + widths.target + ' bits a weight on average, scales included; these widths come to '
    + widths.reached.toFixed(3) + '. Every linear was quantized at each width, and those were taken whose relative errors sum up to the least.';
  const all = [...new Set(linears.map(l => l.bits))].sort((a, b) => a - b);
  const kinds = [...new Set(linears.map(row))];
  byId('width-table').append(table(['Linear', ...all.map(b => b + ' bits')], kinds.map(kind => [kind, ...all.map(b =>
    count(linears.filter(l => row(l) === kind && l.bits === b).length))])));
}

// ---- time, memory

const seconds = Object.entries(report.seconds);
const work = seconds.reduce((sum, [, s]) => sum + s, 0);
byId('time-lead').textContent = duration(report.wallSeconds) + ' from start to end; the phases below are summed over tasks that ran side by side and make '
  + duration(work) + ' of work.';
const peaks = Object.entries(report.memory.peakBytes);
const peak = Math.max(0, ...peaks.map(([, b]) => b));
byId('memory-lead').textContent = peaks.length === 0 ? 'Not measured. The plan expected ' + bytes(report.memory.plannedBytes) + ' per executor.'
  : 'The fullest executor held ' + bytes(peak) + '; the plan expected ' + bytes(report.memory.plannedBytes) + ' (the line).';

// ---- programs, plan, facts

for (const p of programs) {
  const box = element('div', 'program', element('h3', '', p.name));
  if (p.code) box.append(block('# ' + p.install + '\n' + p.code.trimEnd()));
  if (p.remark) box.append(element('p', 'remark', p.remark));
  byId('programs').append(box);
}
byId('plan').textContent = report.plan.join('\n');
const said = v => Array.isArray(v) ? '[' + v.map(said).join('; ') + ']'
  : v instanceof Object ? Object.entries(v).map(([k, of]) => k + ' ' + said(of)).join(', ') : v;
const facts = [
  ['Source', report.source],
  ['Checkpoint', report.output],
  ['Propagation', report.propagation],
  ...(report.calibration ? [
    ['Calibration', report.calibration.text + ', ' + count(report.calibration.sequences) + ' × ' + count(report.calibration.length)
      + ' = ' + count(report.calibration.tokens) + ' tokens'],
    ['Hash of the tokens', report.calibration.sha256]] : [['Calibration', 'none: ' + recipe.method + ' needs no tokens']]),
  ...(evaluation ? [['Evaluation', evaluation.text + ', ' + count(evaluation.windows) + ' windows of ' + count(evaluation.window)]] : []),
  ['Recipe', said(recipe)],
  ['Device type', report.machine.deviceType],
  ['Spark master', report.machine.master],
  ['Versions', Object.entries(report.versions).map(([k, v]) => k + ' ' + v).join(', ')]];
const listed = element('table', '', element('tbody', '', ...facts.map(([k, v]) =>
  element('tr', '', element('td', 'key', k), element('td', '', v)))));
byId('facts').append(listed);

// ---- charts

const style = name => getComputedStyle(document.documentElement).getPropertyValue('--' + name).trim();
const charts = [];
function chart(id, height, option) {
  const box = byId(id);
  box.style.height = height + 'px';
  const drawn = echarts.init(box, null, { renderer: 'svg' });
  drawn.setOption({ animation: false, textStyle: { fontFamily: getComputedStyle(document.body).fontFamily }, ...option });
  charts.push(drawn);
}
const tooltip = () => ({ confine: true, backgroundColor: style('card'), borderColor: style('line'), padding: [8, 12],
  textStyle: { color: style('ink'), fontSize: 13 } });

// The ramp runs from strong to faint colour: figures on its strong end are written in the colour of the paper.
const inked = r => style(r < 0.4 || r > 1 ? 'paper' : 'ink');

// The same linear of all experts is one cell.
const cells = [...linears.reduce((map, l) => {
  const key = l.layer + ' ' + row(l);
  const c = map.get(key) || { layer: l.layer, row: row(l), loss: 0, roundToNearest: 0, linears: [] };
  c.loss += l.loss;
  c.roundToNearest += l.roundToNearest;
  c.linears.push(l);
  return map.set(key, c);
}, new Map()).values()];

function heat() {
  if (linears.length === 0) return;
  const rows = [...new Set(cells.map(c => c.row))];
  const layers = [...new Set(linears.map(l => l.layer))].sort((a, b) => a - b);
  const cell = rows.length > 40 ? 9 : 26;
  const at = new Map(rows.map((r, i) => [r, i]));
  const column = new Map(layers.map((l, i) => [l, i]));
  // Long names lose their middle here; the tooltip has them whole.
  const short = name => name.length <= 26 ? name : name.slice(0, 11) + '…' + name.slice(-14);
  const left = Math.min(190, 14 + 6.7 * Math.max(...rows.map(r => short(r).length)));
  chart('heat', rows.length * cell + 62, {
    grid: { left, right: 6, top: 6, bottom: 52 },
    xAxis: { type: 'category', data: layers, name: 'layer', nameLocation: 'middle', nameGap: 30, axisTick: { show: false },
      axisLine: { show: false }, nameTextStyle: { color: style('soft') }, axisLabel: { color: style('soft'), hideOverlap: true } },
    yAxis: { type: 'category', data: rows, inverse: true, axisTick: { show: false }, axisLine: { show: false },
      axisLabel: { color: style('soft'), formatter: short, interval: rows.length > 40 ? 'auto' : 0 } },
    tooltip: { ...tooltip(), formatter: p => {
      const c = cells[p.dataIndex];
      const l = c.linears[0];
      const notes = c.linears.filter(x => x.notes.length > 0).length;
      const lines = [c.linears.length === 1 ? l.name : 'layer ' + c.layer + ', ' + c.row, l.outputs + ' × ' + l.inputs,
        'error per token ' + round(c.loss), 'round-to-nearest ' + round(c.roundToNearest), 'ratio ' + round(ratio(c)),
        ...(c.linears.length === 1 ? l.notes : [plural(c.linears.length, 'expert') + ', ' + notes + ' with notes'])];
      return element('div', '', ...lines.map(t => element('div', '', t)));
    } },
    visualMap: { show: false, min: 0, max: 1, dimension: 2, inRange: { color: [0, 1, 2, 3].map(i => style('heat' + i)) } },
    series: [{ type: 'heatmap', data: cells.map(c => {
      const noted = c.linears.some(l => l.notes.length > 0);
      return {
        value: [column.get(c.layer), at.get(c.row), Math.min(1, ratio(c))],
        ...(ratio(c) > 1 ? { visualMap: false, itemStyle: { color: style('over') } } : {}),
        label: layers.length <= 16 && cell > 20
          ? { show: true, formatter: ratio(c).toFixed(2) + (noted ? ' ●' : ''), fontSize: 12, color: inked(ratio(c)) }
          : { show: noted, formatter: '●', fontSize: 9, color: style('ink') } };
    }),
      itemStyle: { borderColor: style('paper'), borderWidth: layers.length > 40 || cell < 20 ? 1 : 2, borderRadius: 3 },
      emphasis: { itemStyle: { borderColor: style('ink') } } }] });
}

function tokens() {
  if (experts.length === 0) return;
  const layers = [...new Set(experts.map(e => e.layer))].sort((a, b) => a - b);
  const most = Math.max(...experts.map(e => e.expert)) + 1;
  const cell = most > 40 ? 9 : 20;
  const middle = experts.map(e => e.tokens).sort((a, b) => a - b)[experts.length >> 1];
  chart('tokens', most * cell + 62, {
    grid: { left: 60, right: 6, top: 6, bottom: 52 },
    xAxis: { type: 'category', data: layers, name: 'layer', nameLocation: 'middle', nameGap: 30, axisTick: { show: false },
      axisLine: { show: false }, nameTextStyle: { color: style('soft') }, axisLabel: { color: style('soft'), hideOverlap: true } },
    yAxis: { type: 'category', data: [...Array(most).keys()], name: 'expert', nameLocation: 'middle', nameGap: 40, inverse: true,
      axisTick: { show: false }, axisLine: { show: false }, nameTextStyle: { color: style('soft') }, axisLabel: { color: style('soft') } },
    tooltip: { ...tooltip(), formatter: p => {
      const e = experts[p.dataIndex];
      return element('div', '', ...['layer ' + e.layer + ', expert ' + e.expert, plural(e.tokens, 'token'), plural(e.inputs, 'input'),
        ...e.notes].map(t => element('div', '', t)));
    } },
    visualMap: { show: false, min: 0, max: Math.max(1, 2 * middle), dimension: 2, inRange: { color: [0, 1, 2, 3].map(i => style('heat' + i)) } },
    series: [{ type: 'heatmap', data: experts.map(e => ({
      value: [layers.indexOf(e.layer), e.expert, Math.min(e.tokens, 2 * middle)],
      ...(e.tokens < e.inputs ? { visualMap: false, itemStyle: { color: style('over') } } : {}) })),
      itemStyle: { borderColor: style('paper'), borderWidth: 1, borderRadius: 2 },
      emphasis: { itemStyle: { borderColor: style('ink') } } }] });
}

function curve() {
  if (!widths) return;
  chart('curve', 260, {
    grid: { left: 60, right: 16, top: 12, bottom: 46 },
    xAxis: { type: 'value', scale: true, name: 'bits a weight', nameLocation: 'middle', nameGap: 28, nameTextStyle: { color: style('soft') },
      axisLabel: { color: style('soft') }, splitLine: { show: false } },
    yAxis: { type: 'log', name: 'error', axisLabel: { color: style('soft'), formatter: v => round(v) }, splitLine: { lineStyle: { color: style('line') } } },
    tooltip: { ...tooltip(), trigger: 'axis', formatter: ([p]) => element('div', '', p.value[0].toFixed(2) + ' bits a weight: error ' + round(p.value[1])) },
    series: [{ type: 'line', showSymbol: false, data: widths.curve.map(p => [p.bitsPerWeight, p.loss]), lineStyle: { color: style('c0'), width: 2 },
      markLine: { silent: true, symbol: 'none', label: { show: false }, lineStyle: { color: style('ink'), type: 'dashed' },
        data: [{ xAxis: widths.reached }] } }] });
}

function time() {
  chart('time', innerWidth < 760 ? 116 : 88, {
    grid: { left: 0, right: 0, top: 4, height: 40 },
    legend: { top: 60, left: -4, itemWidth: 12, itemHeight: 12, itemGap: 18, icon: 'roundRect', textStyle: { color: style('soft'), fontSize: 13 },
      formatter: name => name + '  ' + duration(report.seconds[name]) },
    xAxis: { type: 'value', show: false, max: work || 1 },
    yAxis: { type: 'category', data: [''], show: false },
    tooltip: { ...tooltip(), formatter: p => element('div', '', p.seriesName + ': ' + duration(p.value) + ', ' + round(100 * p.value / (work || 1), 2) + ' %') },
    series: seconds.map(([name, s], i) => ({ type: 'bar', stack: 'work', name, data: [s], barWidth: 40,
      itemStyle: { color: style('c' + i % 7), borderColor: style('paper'), borderWidth: 1 },
      label: { show: s / (work || 1) > 0.07, formatter: () => Math.round(100 * s / work) + ' %', color: style('paper'), fontWeight: 600 } })) });
}

function memory() {
  if (peaks.length === 0) return;
  const limit = 1.12 * Math.max(peak, report.memory.plannedBytes);
  const left = Math.min(180, 14 + 7 * Math.max(...peaks.map(([id]) => id.length)));
  chart('memory', 22 * peaks.length + 44, {
    grid: { left, right: 10, top: 8, bottom: 30 },
    xAxis: { type: 'value', max: limit, splitNumber: 4, axisLabel: { color: style('soft'), formatter: bytes, showMaxLabel: false, hideOverlap: true },
      splitLine: { lineStyle: { color: style('line') } } },
    yAxis: { type: 'category', inverse: true, data: peaks.map(([id]) => id), axisTick: { show: false }, axisLine: { show: false },
      axisLabel: { color: style('soft'), width: left - 10, overflow: 'truncate', interval: peaks.length > 40 ? 'auto' : 0 } },
    tooltip: { ...tooltip(), formatter: p => element('div', '', p.name + ': ' + bytes(p.value)) },
    series: [{ type: 'bar', data: peaks.map(([, b]) => ({ value: b, itemStyle: { color: style(b > report.memory.plannedBytes ? 'over' : 'c0') } })),
      barWidth: 12, itemStyle: { borderRadius: 3 },
      markLine: { silent: true, symbol: 'none', label: { show: false }, lineStyle: { color: style('ink'), type: 'dashed' },
        data: [{ xAxis: report.memory.plannedBytes }] } }] });
}

function draw() {
  charts.splice(0).forEach(c => c.dispose());
  heat();
  curve();
  tokens();
  time();
  memory();
}
draw();
matchMedia('(prefers-color-scheme: dark)').addEventListener('change', draw);
matchMedia('print').addEventListener('change', draw);
let pending = 0;
addEventListener('resize', () => {
  clearTimeout(pending);
  pending = setTimeout(() => charts.forEach(c => c.resize()), 100);
});
