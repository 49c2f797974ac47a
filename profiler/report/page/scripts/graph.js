// The modules: a graph in which equal subtrees occur once, read as a tree of items.
//
// An item is a module, or a run of equal siblings that is shown as one (`layers.0–125`, times 126).

const TYPE = 0, OUTPUT = 1, CALLS = 2, OWN = 3, TOTAL = 4, EDGES = 5, INPUT = 6;

class ModuleGraph {
  constructor(data) {
    this.nodes = data.nodes;
    this.measures = data.measures;
    // Whether a node or one below it was called; children come before their parents.
    this.ran = [];
    for (const row of this.nodes) this.ran.push(row[CALLS] > 0 || row[EDGES].some(([, , , child]) => this.ran[child]));
    this.root = { path: '', name: '', level: 0, times: 1, count: 1, node: this.nodes.length - 1, parent: null };
  }

  row(item) {
    return this.nodes[item.node];
  }

  type(item) {
    return this.row(item)[TYPE];
  }

  // The shape of the first result, or that there is none.
  output(item) {
    return this.row(item)[OUTPUT] || (this.ran[item.node] || !this.type(item) ? '' : 'not called');
  }

  // What a reader calls the item: its name, or the model's class.
  label(item) {
    return item.name || this.type(item);
  }

  // The amount of a measure, own or with all submodules, of all modules that the item stands for.
  amount(item, measure, column = TOTAL) {
    const value = this.row(item)[column][measure];
    if (item.times === 1) return value;
    if (Number.isInteger(Number(value))) {
      const product = BigInt(value) * BigInt(item.times);
      return product <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(product) : String(product);
    }
    return value * item.times;
  }

  // The submodules, with runs of equal ones folded or one by one.
  children(item, folded = true) {
    const children = [];
    for (const edge of this.row(item)[EDGES]) {
      if (folded || edge[2] === 1) children.push(this.fold(item, edge));
      else for (let i = 0; i < edge[2]; i += 1) children.push(this.unfold(item, edge, i));
    }
    return children;
  }

  fold(parent, [first, last, count, node]) {
    return this.item(parent, count === 1 ? first : `${first}–${last}`, count, node);
  }

  unfold(parent, [first, , , node], position) {
    const stem = first.replace(/\d+$/, '');
    return this.item(parent, stem + (Number(first.slice(stem.length)) + position), 1, node);
  }

  // The modules of a run, one by one.
  members(item) {
    const edge = this.row(item.parent)[EDGES].find((candidate) => this.fold(item.parent, candidate).name === item.name);
    return Array.from({ length: item.count }, (_, i) => this.unfold(item.parent, edge, i));
  }

  item(parent, name, count, node) {
    const path = parent.path ? `${parent.path}.${name}` : name;
    return { path, name, level: parent.level + 1, times: parent.times * count, count, node, parent };
  }

  // All items, parents first.
  list(folded = true) {
    const items = [], pending = [this.root];
    while (pending.length) {
      const item = pending.pop();
      items.push(item);
      pending.push(...this.children(item, folded).reverse());
    }
    return items;
  }

  // The item at a path, of a run (`layers.0–125`) or of one module in it (`layers.17`); null if there is none.
  find(path) {
    let item = this.root;
    while (item && item.path !== path) item = this.step(item, path);
    return item;
  }

  step(item, path) {
    const rest = item.path ? path.slice(item.path.length + 1) : path;
    for (const edge of this.row(item)[EDGES]) {
      const folded = this.fold(item, edge);
      if (isWithin(path, folded.path)) return folded;
      const stem = edge[0].replace(/\d+$/, ''), digits = /^\d+/.exec(rest.slice(stem.length));
      const position = digits ? Number(digits[0]) - Number(edge[0].slice(stem.length)) : -1;
      if (edge[2] > 1 && rest.startsWith(stem) && position >= 0 && position < edge[2]) {
        const single = this.unfold(item, edge, position);
        if (isWithin(path, single.path)) return single;
      }
    }
    return null;
  }
}

function isWithin(path, top) {
  return path === top || path.startsWith(`${top}.`);
}

// The items from the root down to an item.
function lineage(item) {
  const items = [];
  for (let at = item; at; at = at.parent) items.unshift(at);
  return items;
}
