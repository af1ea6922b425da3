// How much room a legend will need, as plotly lays out those that stand across: drawing a chart once more, because its
// legend turned out to wrap, takes as long as the first time. A wrong guess is corrected by such a second time.

const LEGEND_GAP = 5 // pixels, as the next three: constants of plotly's legend
const LEGEND_SIGN = 40
const LEGEND_LINE = 19.9 // of names in 13 pixels
const LEGEND_MARGIN = 10

function legendHeight(names, room, font) {
  canvas.font = `13px ${font}`
  const widths = names.map((name) => canvas.measureText(name.replace(/&#(\d+);/g, (_, code) => String.fromCharCode(code))).width)
  const all = widths.reduce((sum, width) => sum + width + LEGEND_SIGN + LEGEND_GAP, -LEGEND_GAP)
  const columns = Math.max(1, Math.floor(room / (Math.max(...widths) + LEGEND_SIGN + LEGEND_GAP)))
  const lines = all < room ? 1 : Math.ceil(names.length / columns)
  let height = 0
  for (let line = 0; line < lines; line += 1) height += LEGEND_LINE // rounded as plotly's sum is
  return Math.ceil(height + LEGEND_MARGIN)
}
