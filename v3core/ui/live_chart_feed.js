// Asks the server for what is new, once for all that a tab shows and only for what is on its screen (v3core/ui/feed.py).
// Appended to live_chart.js by live_chart.py.

const NOT_HERE = "This server sends no charts: start the dashboard with `make run` or `v3lab serve`."
const RETRY_MS = 2000

class Feed {
  constructor(url) {
    this.url = url
    this.members = new Set() // each has wants(), takes(answer, wanted), fails(sentence), tell() and everyMs()
    document.addEventListener("visibilitychange", () => document.hidden || this.soon())
  }

  soon(ms = 0) {
    const at = performance.now() + ms
    if (this.timer !== undefined && this.at <= at) return
    clearTimeout(this.timer)
    this.at = at
    this.timer = setTimeout(() => this.ask(), ms)
  }

  async ask() {
    this.timer = undefined
    if (this.asking) return (this.again = true)
    if (document.hidden) return
    const asked = [...this.members].map((member) => [member, member.wants()]).filter(([, wanted]) => wanted)
    if (asked.length === 0) return
    this.asking = true
    const began = performance.now()
    let wait = RETRY_MS
    try {
      const charts = asked.map(([, wanted], index) => ({ ...wanted, id: String(index) }))
      const response = await fetch(this.url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ charts }),
      })
      if (response.status === 404 || response.status === 405) throw new Error(NOT_HERE)
      const said = response.status === 204 ? {} : await response.json()
      if (!response.ok) throw new Error(said.error)
      asked.forEach(([member, wanted], index) => said[index] && member.takes(said[index], wanted))
      // A slow server is asked less often.
      wait = Math.max(Math.min(...asked.map(([member]) => member.everyMs())), 3 * (performance.now() - began))
    } catch (error) {
      asked.forEach(([member]) => member.fails(error.message))
    }
    this.asking = false
    asked.forEach(([member]) => member.tell())
    this.soon(this.again ? 0 : wait)
    this.again = false
  }
}

function feedOf(url) {
  const feeds = (window.__v3labFeeds ??= new Map())
  if (!feeds.has(url)) feeds.set(url, new Feed(url))
  return feeds.get(url)
}
