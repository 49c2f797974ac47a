// Numbers as text, rounded as the text report rounds them (profiler/units.py).

const DECIMAL = [[1e18, 'E'], [1e15, 'P'], [1e12, 'T'], [1e9, 'G'], [1e6, 'M'], [1e3, 'k']];
const BINARY = [[2 ** 40, 'TiB'], [2 ** 30, 'GiB'], [2 ** 20, 'MiB'], [2 ** 10, 'KiB']];
const TIMES = [[86400, 'd'], [3600, 'h'], [60, 'min'], [1, 's'], [1e-3, 'ms'], [1e-6, 'µs']];

function fourDigits(value) {
  const decimals = 3 - (String(Math.trunc(value)).length - 1);
  const text = value.toFixed(Math.max(decimals, 0));
  return text.replace('.', '').length > 4 ? value.toFixed(Math.max(decimals - 1, 0)) : text;
}

function formatCount(value, unit) {
  for (const [power, prefix] of DECIMAL) {
    if (value >= power * (1 - 5e-5)) return `${fourDigits(value / power)} ${prefix}${unit}`.trim();
  }
  return `${value} ${unit}`.trim();
}

function formatSize(value) {
  for (const [power, unit] of BINARY) {
    if (value >= power) return `${fourDigits(value / power)} ${unit}`;
  }
  return `${value} B`;
}

function formatSeconds(value) {
  if (!value) return '0 s';
  for (const [size, unit] of TIMES) {
    if (value >= size) return `${fourDigits(value / size)} ${unit}`;
  }
  return `${fourDigits(value / 1e-9)} ns`;
}

// An amount of a measure, rounded.
function formatAmount(amount, measure) {
  if (measure.scale === 'size') return formatSize(Number(amount));
  if (measure.scale === 'seconds') return formatSeconds(Number(amount));
  if (measure.scale === 'plain') return `${formatRounded(Number(amount))} ${measure.unit}`.trim();
  return formatCount(Number(amount), measure.unit);
}

// A number with four digits, without a prefix.
function formatRounded(value) {
  if (value >= 10000) return Math.round(value).toLocaleString('en-US');
  return value >= 1 ? fourDigits(value) : value ? value.toPrecision(4) : '0';
}

// An amount with every digit; a time has none to show beyond its rounding.
function formatExact(amount, measure) {
  if (measure.scale === 'seconds') return formatSeconds(Number(amount));
  return `${BigInt(amount).toLocaleString('en-US')} ${measure.unit}`.trim();
}

function formatShare(part, whole) {
  return whole ? `${(100 * Number(part) / Number(whole)).toFixed(1)}` : '';
}

// Cut the middle out of a long text.
function shorten(text, most) {
  if (text.length <= most) return text;
  const end = Math.floor((most - 1) / 3);
  return `${text.slice(0, most - 1 - end)}…${text.slice(text.length - end)}`;
}
