// Several results as points: one figure against another. Each kind of point has a colour and a symbol.

const KINDS = [
  ['circle', 'accent'], ['diamond', 'second'], ['square', 'category-optimizer_state'], ['triangle-up', 'category-activation'],
  ['cross', 'category-temporary'], ['star', 'category-input'], ['pentagon', 'category-buffer'],
];
const MOST_LABELS = 30;
// The size of the letters of a label, in pixels; and how far beyond the points a line is still drawn.
const LETTER = 6.2, LABEL_HEIGHT = 15, FAR = 3;

function makeComparison(views, choose) {
  const root = document.getElementById('panel-comparison');
  return part(root, 'difference') ? new Difference(root, views) : new Comparison(root, choose);
}

// The measures that all profiles have, other than columns of the table alone.
function sharedMeasures(views) {
  const [first, ...others] = views.map(({ graph }) => graph.measures.filter(({ pictured }) => pictured));
  return first.filter(({ key }) => others.every((measures) => measures.some((measure) => measure.key === key)));
}

class Comparison {
  constructor(root, choose) {
    this.figure = part(root, 'comparison');
    if (!this.figure) return;
    this.status = part(root, 'comparison-status');
    this.rows = [...root.querySelectorAll('[data-sorted] tbody tr')];
    this.data = JSON.parse(document.getElementById('scatter').textContent);
    this.open = choose;
    [this.across, this.up] = this.data.drawn;
    part(root, 'comparison-controls').replaceChildren(...['across', 'up'].map((axis) => this.control(axis)));
  }

  control(axis) {
    const choose = chooser(`measure ${axis}`, this.data.axes.map(({ label: text }) => text), (i) => { this[axis] = i; this.draw(); });
    choose.selectedIndex = this[axis];
    return element('label', {}, `${axis}: `, choose);
  }

  show(plotly) {
    this.plotly = plotly;
    this.draw();
  }

  draw() {
    if (!this.plotly || !this.figure) return;
    const { data } = this, x = data.axes[this.across], y = data.axes[this.up];
    const points = data.names.map((_, i) => i).filter((i) => x.values[i] !== null && y.values[i] !== null);
    const layout = baseLayout(480), kinds = [...new Set(points.map((i) => data.groups[i] ?? ''))];
    for (const [name, axis] of [['xaxis', x], ['yaxis', y]]) Object.assign(layout[name], scatterAxis(axis, points));
    Object.assign(layout, { showlegend: kinds.length > 1, hovermode: 'closest', margin: { l: 8, r: 40, t: 24, b: 8 } });
    Object.assign(layout, this.lines(x, y, points));
    const best = bestOfBoth(x, y, points);
    const named = placeLabels(this.figure, x, y, points, [...best, ...(points.length <= MOST_LABELS ? points : [])], data.names);
    if (this.figure.classList.contains('waiting')) this.figure.replaceChildren();
    this.figure.classList.remove('waiting');
    this.plotly.react(this.figure, [...kinds.map((kind, k) => this.trace(kind, k, points, named)), ...frontTrace(x, y, best)], layout, PLOT_CONFIG);
    if (!this.listening) {
      this.figure.on('plotly_click', ({ points: [{ customdata }] }) => customdata && this.choose(customdata[0]));
      this.listening = true;
    }
    this.say(points.length, best.length);
  }

  trace(kind, k, points, named) {
    const { data } = this, x = data.axes[this.across], y = data.axes[this.up];
    const here = points.filter((i) => (data.groups[i] ?? '') === kind), [symbol, tint] = KINDS[k % KINDS.length];
    return {
      type: 'scatter', mode: 'markers+text', name: label(kind, 40), x: here.map((i) => x.values[i]), y: here.map((i) => y.values[i]),
      text: here.map((i) => (named.has(i) ? label(data.names[i], 40) : '')), textposition: here.map((i) => named.get(i) ?? 'top center'), textfont: { size: 11, color: colour('muted') }, cliponaxis: false,
      marker: { size: 10, symbol: here.map((i) => (data.filled[i] ?? true ? symbol : `${symbol}-open`)), color: colour(tint), line: { width: 1.5, color: colour(tint) } },
      customdata: here.map((i) => [i, label(data.names[i]), amountOn(x, i), amountOn(y, i)]),
      hovertemplate: '%{customdata[1]}<br>%{customdata[2]}<br>%{customdata[3]}<extra></extra>',
    };
  }

  // The line of what was asked, along the axis that it belongs to.
  lines(x, y, points) {
    const { line } = this.data;
    const isUp = line && line[0] === y.label, isAcross = line && line[0] === x.label;
    const values = points.map((i) => (isUp ? y : x).values[i]);
    if ((!isUp && !isAcross) || line[1] * FAR < Math.min(...values) || line[1] > FAR * Math.max(...values)) return {};
    const place = isUp ? { xref: 'paper', x0: 0, x1: 1, y0: line[1], y1: line[1] } : { yref: 'paper', y0: 0, y1: 1, x0: line[1], x1: line[1] };
    const style = { color: colour('text'), width: 1, dash: 'dash' };
    return { shapes: [{ type: 'line', layer: 'below', line: style, label: { text: label(line[2], 40), textposition: 'start', font: { size: 11, color: colour('text') } }, ...place }] };
  }

  // Open the tab of a point; without one, mark its row in the table.
  choose(i) {
    const row = this.rows[i], button = row.querySelector('[data-tab]');
    for (const other of this.rows) other.classList.toggle('chosen', other === row);
    if (button) this.open(Number(button.dataset.tab));
    else row.scrollIntoView({ block: 'nearest' });
  }

  say(drawn, best) {
    const missing = this.data.names.length - drawn;
    const parts = [];
    if (best > 1) parts.push('The dotted line joins the points that no other one beats in both figures.');
    if (this.data.filled.some((isFilled) => !isFilled)) parts.push('Open points miss what was asked.');
    if (missing) parts.push(`Not drawn, as a figure is unknown: ${missing} of ${this.data.names.length}.`);
    this.status.textContent = parts.join(' ');
  }
}

function amountOn(axis, i) {
  return label(`${axis.label}: ${formatAmount(axis.values[i], axis)}`);
}

// A logarithmic axis if all amounts are positive and differ by a lot.
function isLogarithmic(axis, points) {
  const values = points.map((i) => axis.values[i]), low = Math.min(...values);
  return low > 0 && Math.max(...values) > 3 * low;
}

function scatterAxis(axis, points) {
  const unit = axis.scale === 'plain' && axis.unit ? `, ${axis.unit}` : '';
  const title = { text: label(axis.label) + unit, font: { color: colour('muted'), size: 12 } };
  if (!isLogarithmic(axis, points)) return { type: 'linear', exponentformat: 'SI', title };
  const ticks = logarithmicTicks(points.map((i) => axis.values[i]));
  const words = (value) => formatAmount(value, { ...axis, unit: '' }).replace(/(\.\d*?)0+(?!\d)/, '$1').replace(/\.(?!\d)/, '');
  return { type: 'log', title, tickvals: ticks, ticktext: ticks.map(words) };
}

// 1, 2 and 5 of each power of ten, or fewer if these are many.
function logarithmicTicks(values) {
  const low = Math.min(...values) / 1.5, high = Math.max(...values) * 1.5;
  for (const digits of [[1, 2, 5], [1, 3], [1]]) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.log10(high); power += 1) {
      ticks.push(...digits.map((digit) => digit * 10 ** power).filter((value) => value >= low && value <= high));
    }
    if (ticks.length <= 12 || digits.length === 1) return ticks;
  }
  return [];
}

// Above or below its point each label that meets no other label or point; the first of the candidates have the first choice.
function placeLabels(figure, x, y, points, candidates, names) {
  const across = toPixels(x, points, (figure.clientWidth || 900) - 140), up = toPixels(y, points, -400);
  const placed = [], positions = new Map();
  for (const i of new Set(candidates)) {
    const half = (LETTER * Math.min(names[i].length, 40)) / 2;
    for (const [position, shift] of [['top center', -14], ['bottom center', 14]]) {
      const box = { left: across(i) - half, right: across(i) + half, middle: up(i) + shift };
      const isCovered = points.some((j) => j !== i && across(j) > box.left - 4 && across(j) < box.right + 4 && Math.abs(up(j) - box.middle) < LABEL_HEIGHT - 3);
      const isFree = placed.every((other) => box.left > other.right || box.right < other.left || Math.abs(box.middle - other.middle) > LABEL_HEIGHT);
      if (isCovered || !isFree) continue;
      placed.push(box);
      positions.set(i, position);
      break;
    }
  }
  return positions;
}

// About where plotly will draw an amount.
function toPixels(axis, points, length) {
  const scale = isLogarithmic(axis, points) ? Math.log10 : (value) => value;
  const values = points.map((i) => scale(axis.values[i])), low = Math.min(...values), high = Math.max(...values);
  return (i) => ((scale(axis.values[i]) - low) / (high - low || 1)) * length;
}

// The points that no other point beats in both figures (as in profiler/report/scatter.py).
function bestOfBoth(x, y, points) {
  if (!x.better || !y.better) return [];
  const order = [...points].sort((a, b) => x.better * (x.values[b] - x.values[a]) || y.better * (y.values[b] - y.values[a]) || a - b);
  let highest = -Infinity;
  const best = order.filter((i) => { const up = y.better * y.values[i], isBest = up > highest; highest = Math.max(highest, up); return isBest; });
  return best.sort((a, b) => x.values[a] - x.values[b]);
}

function frontTrace(x, y, best) {
  if (best.length < 2) return [];
  return [{
    type: 'scatter', mode: 'lines', name: 'best of both', x: best.map((i) => x.values[i]), y: best.map((i) => y.values[i]),
    line: { color: colour('muted'), width: 1, dash: 'dot' }, hoverinfo: 'skip', showlegend: false,
  }];
}
