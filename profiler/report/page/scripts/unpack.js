// plotly's script comes compressed in the page, and is run once it is unpacked. Its hash is in the page's policy.

async function unpack(base64) {
  const packed = atob(base64), bytes = new Uint8Array(packed.length);
  for (let i = 0; i < packed.length; i += 1) bytes[i] = packed.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
  return new Response(stream).text();
}

function runPlotly(text) {
  const script = document.createElement('script');
  script.textContent = text;
  document.head.append(script);
  return window.Plotly;
}
