// What every plotly figure on a page shares: the script, and the colours of the page. The first part of live_chart.js and
// of replay_player.js, as live_chart.py and replay_player.py put them together.

// `words` are those of plotly_js.py, in the reader's language.
function loadPlotly(url, words) {
  window.__v3labPlotly ??= new Promise((resolve, reject) => {
    if (window.Plotly) return resolve(window.Plotly)
    // The document of a page with charts has asked for it already.
    let begun = document.querySelector(`script[src="${url}"]`)
    if (begun?.dataset.loaded) {
      begun.remove() // it ran and left no plotly, such as a file that was cut short: it will not say so again
      begun = null
    }
    const script = begun ?? document.createElement("script")
    const fail = (words) => {
      script.remove() // the next figure must not wait for it
      reject(new Error(words))
    }
    script.addEventListener("load", () =>
      window.Plotly ? resolve(window.Plotly) : fail(words.not_plotly),
    )
    script.addEventListener("error", () => fail(filled(words.not_loaded, { url })))
    if (begun) return
    script.src = url
    document.head.appendChild(script)
  }).catch((error) => {
    window.__v3labPlotly = undefined // the next figure tries again
    throw error
  })
  return window.__v3labPlotly
}

// One object for all: at any change of it, functions included, Plotly.react would rebuild the whole chart.
const PLOTLY_CONFIG = {
  displaylogo: false,
  displayModeBar: false, // it covers the legend and takes no keys: live_chart_tools.js is instead of it
  responsive: false,
  doubleClick: false,
  scrollZoom: false,
  plotlyServerURL: "",
}

// After the page's own font, which has no Chinese.
const CHINESE_FONTS = '"Noto Sans CJK SC", "PingFang SC", "Microsoft YaHei"'

function theme(element) {
  const style = getComputedStyle(element)
  const read = (name, fallback) => {
    const value = style.getPropertyValue(`--st-${name}`).trim()
    return value && value !== "unset" ? value : fallback
  }
  return {
    font: `${read("font", "").replace(/,?\s*sans-serif$/, "") || "system-ui"}, ${CHINESE_FONTS}, sans-serif`,
    text: read("text-color", "#333"),
    background: read("background-color", "#fff"),
    panel: read("secondary-background-color", "#f4f4f4"),
    border: read("border-color", "#ccc"),
    grid: read("border-color-light", read("border-color", "#ddd")),
    accent: read("link-color", "#0f766e"),
  }
}

function axesOf(layout) {
  return Object.keys(layout).filter((key) => /^[xy]axis\d*$/.test(key)).map((key) => layout[key])
}

// Size and colours, which figures leave to the page.
function dress(layout, colours, width, height) {
  Object.assign(layout, {
    width,
    height,
    autosize: false,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    font: { family: colours.font, size: 13, color: colours.text },
    hoverlabel: {
      bgcolor: colours.background,
      bordercolor: colours.border,
      namelength: -1,
      font: { family: colours.font, size: 12, color: colours.text },
    },
  })
  for (const axis of axesOf(layout)) {
    Object.assign(axis, {
      title: { ...axis.title, font: { size: 12 } },
      tickfont: { size: 12 },
      gridcolor: colours.grid,
      linecolor: colours.border,
      tickcolor: colours.border,
      zerolinecolor: colours.border,
    })
  }
}
