// Below a chart, for mouse and keyboard: leave the zoom, and download its picture or its data.
// Appended to live_chart.js by live_chart.py.

class ChartTools {
  constructor(chart, element) {
    this.chart = chart
    this.reset = this.tool("Reset zoom", "Show the whole axis again (or double-click the chart)", () => chart.reset())
    const formats = ["png", "svg"].map((format) =>
      this.tool(format.toUpperCase(), `Download the picture as ${format.toUpperCase()}`, () => this.picture(format)),
    )
    this.rows = document.createElement("a")
    this.rows.textContent = "CSV"
    this.rows.onclick = () => this.chart.data.rows || this.points()
    element.append(this.reset, ...formats, this.rows)
  }

  tool(label, meaning, act) {
    const button = document.createElement("button")
    button.type = "button"
    button.textContent = label
    button.title = meaning
    button.onclick = act
    return button
  }

  update({ rows }) {
    // Without an address of its own, the link is made at the click.
    this.rows.href = rows ?? "#"
    this.rows.download = rows ? "" : `${this.name()}.csv`
    this.rows.title = rows ? "Download every episode behind this chart, in full precision" : "Download the points drawn"
    this.announce()
  }

  // What is read out names the chart too, by the beginning of its description: a page has many of them.
  announce(description = this.description) {
    this.description = description
    const of = description ? `: ${description.split(/[.,;:(]/)[0].trim()}` : ""
    for (const tool of this.rows.parentElement.children) {
      const meaning = tool === this.reset ? tool.textContent : tool.title
      tool.setAttribute("aria-label", `${meaning}${tool === this.rows ? " as CSV" : ""}${of}`)
    }
  }

  place() {
    this.reset.hidden = !groups.get(this.chart.group).range || !this.chart.drawn
    this.rows.parentElement.hidden = !this.chart.drawn
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
