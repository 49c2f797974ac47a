// What the pictures take from the style sheet, so that they follow its light and dark colours.

const darkness = matchMedia('(prefers-color-scheme: dark)');

// Paper is white, and cannot be clicked: while the page is printed, the pictures have the light colours too, and the
// tables with every digit are open.
function whilePrinting(redraw) {
  const closed = [...document.querySelectorAll('details:not([data-peer])')];
  addEventListener('beforeprint', () => closed.forEach((details) => { details.open = true; }));
  addEventListener('afterprint', () => closed.forEach((details) => { details.open = false; }));
  for (const [event, isPrinting] of [['beforeprint', true], ['afterprint', false]]) {
    addEventListener(event, () => {
      document.documentElement.classList.toggle('printing', isPrinting);
      if (darkness.matches) redraw();
    });
  }
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

// The colour of a share between 0 and 1: the square root spreads the small ones.
function shade(share) {
  const place = Math.sqrt(share) * 2, from = Math.min(1, Math.floor(place));
  const [a, b] = [from, from + 1].map((i) => hexadecimal(colour(`scale-${i}`)));
  return `rgb(${a.map((value, i) => Math.round(value + (b[i] - value) * (place - from))).join(',')})`;
}

// Lines across the boxes that are marked, on their own colours.
function hatching(marked, tints) {
  return { shape: marked.map((isMarked) => (isMarked ? '/' : '')), bgcolor: tints, fgcolor: tints.map(() => colour('surface')), solidity: 0.2, size: 9 };
}

// Black or white, whichever is read better on a colour. Source: WCAG 2.1, relative luminance.
function inkOn(rgb) {
  const [r, g, b] = rgb.match(/\d+/g).map((value) => ((value / 255 + 0.055) / 1.055) ** 2.4);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b > 0.179 ? '#000' : '#fff';
}

function hexadecimal(text) {
  return [1, 3, 5].map((start) => parseInt(text.length > 4 ? text.slice(start, start + 2) : text[(start + 1) / 2].repeat(2), 16));
}

// The layout that all pictures share.
function baseLayout(height) {
  const axis = {
    gridcolor: colour('line'), linecolor: colour('line-strong'), zerolinecolor: colour('line-strong'),
    tickfont: { color: colour('muted'), size: 12 }, title: { font: { color: colour('muted'), size: 12 } },
    ticks: 'outside', tickcolor: colour('line-strong'), automargin: true,
  };
  return {
    height, margin: { l: 8, r: 8, t: 8, b: 8 }, paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)',
    font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: colour('text') },
    hoverlabel: {
      bgcolor: colour('raised'), bordercolor: colour('line-strong'), font: { color: colour('text'), size: 13 }, align: 'left',
    },
    xaxis: structuredClone(axis), yaxis: structuredClone(axis), showlegend: false,
    legend: { orientation: 'h', x: 0, y: 1.02, yanchor: 'bottom', font: { size: 12, color: colour('text') } },
  };
}

const PLOT_CONFIG = { displayModeBar: false, responsive: true, doubleClick: 'reset' };

// plotly reads a few tags and entities in its labels: a name must not hold any. Ours use no tag but <br>: the others
// become inline styles, which the page's policy forbids.
function label(text, most = 80) {
  return shorten(text, most).replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
