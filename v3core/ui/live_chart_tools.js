// Below a chart, for mouse and keyboard: leave the zoom, and download its picture or its data.
// Appended to live_chart.js by live_chart.py.

class ChartTools {
  constructor(chart, element) {
    this.chart = chart
    this.element = element
    this.reset = this.tool(() => chart.reset())
    this.pictures = ["png", "svg"].map((format) => [format.toUpperCase(), this.tool(() => this.picture(format))])
    this.rows = document.createElement("a")
    this.rows.textContent = "CSV"
    this.rows.onclick = () => this.chart.data.rows || this.points()
    // Instead of those of the chart that the element had before, if Streamlit begins it a second time.
    element.replaceChildren(this.reset, ...this.pictures.map(([, button]) => button), this.rows)
  }

  tool(act) {
    const button = document.createElement("button")
    button.type = "button"
    button.onclick = act
    return button
  }

  update({ rows, words }) {
    this.element.setAttribute("aria-label", words.tools)
    this.reset.textContent = words.reset
    this.reset.title = words.reset_meaning
    for (const [format, button] of this.pictures) {
      button.textContent = format
      button.title = filled(words.picture, { format })
    }
    // Without an address of its own, the link is made at the click.
    this.rows.href = rows ?? "#"
    this.rows.download = rows ? "" : `${this.name()}.csv`
    this.rows.title = rows ? words.rows : words.points
    this.announce()
  }

  // What is read out names the chart too, by the beginning of its description: a page has many of them.
  announce(description = this.description) {
    this.description = description
    const of = description ? description.split(/[.,;:(。，；：（]/)[0].trim() : ""
    const { words } = this.chart
    for (const tool of this.element.children) {
      const own = tool === this.reset ? tool.textContent : tool.title
      const meaning = tool === this.rows ? filled(words.as_csv, { meaning: own }) : own
      tool.setAttribute("aria-label", of ? filled(words.of, { meaning, chart: of }) : meaning)
    }
  }

  place() {
    this.reset.hidden = !groups.get(this.chart.group).range || !this.chart.drawn
    this.element.hidden = !this.chart.drawn
  }

  name() {
    const title = this.chart.figure?.layout.uirevision ?? "chart"
    return title.replace(/[^A-Za-z0-9.-]+/g, "-").replace(/^-|-$/g, "").slice(0, 80)
  }

  picture(format) {
    const { node, root, plotly } = this.chart
    const { width, height } = node._fullLayout
    const layout = { ...node.layout, paper_bgcolor: theme(root).background } // or text of a dark page is on nothing
    plotly.downloadImage({ data: node.data, layout }, { format, width, height, scale: 2, filename: this.name() })
  }

  // What the page itself has sent, as it is drawn.
  points() {
    const lines = [["trace", "x", "y", "z"]]
    for (const { name, x = [], y = [], z } of this.chart.figure.data) {
      const of = unescaped(name ?? "")
      if (z) z.forEach((row, at) => row.forEach((value, place) => lines.push([of, x[place], y[at], value])))
      else Array.from(y, (value, place) => lines.push([of, x[place], value, ""]))
    }
    const quoted = (value) => `"${String(value ?? "").replaceAll('"', '""')}"`
    const text = lines.map((line) => line.map((value) => (typeof value === "number" ? value : quoted(value))).join(","))
    if (this.rows.href.startsWith("blob:")) URL.revokeObjectURL(this.rows.href)
    this.rows.href = URL.createObjectURL(new Blob([text.join("\n") + "\n"], { type: "text/csv" }))
  }
}
