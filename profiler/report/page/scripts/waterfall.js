// From our number to a peer's, one bar a cause. A picture is drawn when its section is opened.

class Waterfalls {
  constructor(root, plotly, peers) {
    this.plotly = plotly;
    this.drawn = new Map();
    for (const section of root.querySelectorAll('details[data-peer]')) {
      const peer = peers[Number(section.dataset.peer)];
      section.addEventListener('toggle', () => section.open && this.open(section, peer));
      if (section.open) this.open(section, peer);
    }
  }

  open(section, peer) {
    this.drawn.set(section, peer);
    const figure = part(section, 'waterfall');
    if (figure) this.plotly.react(figure, [waterfallTrace(peer)], waterfallLayout(peer), PLOT_CONFIG);
  }

  draw() {
    for (const [section, peer] of this.drawn) this.open(section, peer);
  }
}

function toNumber(text) {
  return Number(text.replaceAll(',', ''));
}

function waterfallTrace(peer) {
  const steps = peer.steps, names = ['ours', ...steps.map(({ code }) => code), 'theirs'];
  return {
    type: 'waterfall', orientation: 'h', y: names.map((name, i) => `${label(name, 30)}${'\u200b'.repeat(i)}`),
    measure: ['absolute', ...steps.map(() => 'relative'), 'total'],
    x: [toNumber(peer.ours), ...steps.map(({ amount }) => amount), 0],
    text: [formatCount(toNumber(peer.ours), ''), ...steps.map(wordsFor), formatCount(toNumber(peer.claimed), '')],
    textposition: 'auto', cliponaxis: false,
    connector: { line: { color: colour('line-strong'), width: 1 } },
    increasing: { marker: { color: colour('second') } }, decreasing: { marker: { color: colour('accent') } }, totals: { marker: { color: colour('muted') } },
    customdata: ['', ...steps.map(({ why, where }) => label(`${why}${where ? `: ${where}` : ''}`, 160)), ''],
    hovertemplate: '%{y} %{text}<br>%{customdata}<extra></extra>',
  };
}

function wordsFor({ code, amount }) {
  const words = code === 'unexplained' ? 'unexplained' : amount > 0 ? 'adds' : 'leaves out';
  return `${words} ${formatCount(Math.abs(amount), '')}`;
}

function waterfallLayout(peer) {
  const layout = baseLayout(40 * (peer.steps.length + 2) + 60);
  Object.assign(layout.yaxis, { autorange: 'reversed', ticks: '' });
  const range = waterfallRange(peer), unit = peer.unit === 'parameter' ? 'parameters' : peer.unit;
  const title = range && range[0] > 0 ? `${unit} (the axis does not begin at 0)` : unit;
  Object.assign(layout.xaxis, { exponentformat: 'SI', title: { text: title, font: { color: colour('muted'), size: 12 } } });
  if (range) layout.xaxis.range = range;
  layout.margin = { l: 8, r: 24, t: 8, b: 8 };
  return layout;
}

// Where the differences are small beside the totals, the part of the axis in which they are.
function waterfallRange(peer) {
  let level = toNumber(peer.ours);
  const levels = [level, ...peer.steps.map(({ amount }) => { level += amount; return level; })];
  const low = Math.min(...levels), high = Math.max(...levels);
  if (low < 0.6 * high || low === high) return null;
  return [low - 0.25 * (high - low), high + 0.25 * (high - low)];
}
