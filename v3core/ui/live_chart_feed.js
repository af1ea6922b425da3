// Says to the server what is on the screen of this tab, and takes what is new of it, over one WebSocket
// (v3core/ui/push.py). Appended to live_chart.js by live_chart.py.

const SHORTEST_PAUSE_MS = 500 // before a connection that was lost is opened again; twice as long each time
const LONGEST_PAUSE_MS = 15000
const AGAIN_AFTER_MS = 5000 // until something is said again that the server could not take
const LEAVES_MS = 300 // what is scrolled past is not taken off the list at once

class Feed {
  constructor(url) {
    this.url = new URL(url, location.href)
    this.url.protocol = this.url.protocol.replace("http", "ws")
    this.members = new Set() // of FeedMember
    this.held = new Map() // what the server keeps up to date here: name -> Set of members
    this.asked = 0 // counts what was said, so that answers to something older are known
    this.opensAt = 0
    this.pause = SHORTEST_PAUSE_MS
    document.addEventListener("visibilitychange", () => {
      this.opensAt = 0
      this.soon()
    })
    setInterval(() => document.hidden || this.members.forEach((member) => member.near && member.tell()), 1000)
  }

  soon(ms = 0) {
    const at = performance.now() + ms
    if (this.timer !== undefined && this.at <= at) return
    clearTimeout(this.timer)
    this.at = at
    this.timer = setTimeout(() => this.say(), ms)
  }

  // What is on the screen: name -> {what to ask for, members}; nothing in a hidden tab. In one order, so that tabs that
  // show the same say the same.
  wanted() {
    const found = new Map()
    if (document.hidden) return found
    for (const member of this.members) {
      const wants = member.wants()
      if (!wants) continue
      const same = found.get(wants.id)
      if (same && same.wants.have !== wants.have) same.wants.have = "" // both take all of it
      if (same) same.members.add(member)
      else found.set(wants.id, { wants, members: new Set([member]) })
    }
    return new Map([...found].sort(([one], [other]) => (one < other ? -1 : 1)))
  }

  // Says what is on the screen, if the server does not know it.
  say() {
    this.timer = undefined
    const wanted = this.wanted()
    if (this.socket?.readyState !== WebSocket.OPEN) return wanted.size > 0 && this.open()
    const isKnown = [...wanted].every(([id, { members }]) => [...members].every((one) => this.held.get(id)?.has(one)))
    if (isKnown && wanted.size === this.held.size) return
    this.held = new Map([...wanted].map(([id, { members }]) => [id, members]))
    this.asked += 1
    const charts = [...wanted.values()].map(({ wants }) => wants)
    this.socket.send(JSON.stringify({ asked: this.asked, charts }))
  }

  // Has the server say once more what there is of a member: an answer that is under way may be older than what the
  // page shows, and let it rest.
  again(member) {
    this.held.forEach((members) => members.delete(member))
    this.soon()
  }

  open() {
    if (this.socket) return // it is being opened, or closed
    const wait = this.opensAt - performance.now()
    if (wait > 0) return this.soon(wait)
    const socket = new WebSocket(this.url)
    this.socket = socket
    socket.onopen = () => this.say()
    socket.onmessage = ({ data }) => this.hear(JSON.parse(data))
    socket.onclose = () => {
      this.socket = undefined
      this.held.clear()
      const pause = this.pause * (0.75 + Math.random() / 2) // not all tabs at the same moment
      this.pause = Math.min(2 * this.pause, LONGEST_PAUSE_MS)
      this.opensAt = performance.now() + pause
      this.soon(pause)
      this.members.forEach((member) => member.isUnreachable(this.url))
    }
  }

  hear(said) {
    this.pause = SHORTEST_PAUSE_MS
    if (said.error) {
      this.held.clear() // the server has what was said before
      this.soon(AGAIN_AFTER_MS)
      return this.fails(said.error)
    }
    if (said.asked !== this.asked) return // what was said meanwhile is answered in full
    for (const [id, members] of this.held) {
      const answer = said.charts[id]
      if (!answer) continue
      for (const member of members) {
        // Whether or not it is on the screen at this moment: the server sends it once.
        const isKept = this.members.has(member) && member.name() === id && member.takes(answer)
        if (!isKept || answer.rests || answer.gone) members.delete(member)
        if (!isKept) this.soon() // it lacks what was sent before
      }
    }
    for (const [id, members] of this.held) if (members.size === 0) this.held.delete(id)
  }

  fails(sentence) {
    this.members.forEach((member) => member.fails(sentence))
  }
}

const NEAR = 300 // pixels: what is so near to the screen is kept up to date

function isNear(element) {
  const { top, bottom } = element.getBoundingClientRect()
  return bottom > -NEAR && top < window.innerHeight + NEAR
}

// One thing on the page that the feed keeps up to date. `owner` has `show(steps)` and `tell()`, which writes ages;
// and it may have `fails(sentence)`, `visible()` (what it is zoomed to) and `appears()`.
class FeedMember {
  constructor(element, owner) {
    this.element = element
    this.owner = owner
    this.near = false
    this.version = ""
    this.watching = new IntersectionObserver(
      (entries) => {
        this.near = entries.at(-1).isIntersecting // a busy browser reports several changes at once
        this.feed?.soon(this.near ? 0 : LEAVES_MS)
        if (this.near) owner.appears?.()
      },
      { rootMargin: `${NEAR}px` },
    )
    this.watching.observe(element)
  }

  // The page was drawn: what rested, as the chart of an ended run, looks once more.
  update(data) {
    this.data = data
    const source = JSON.stringify(data.source)
    if (this.source !== source) this.version = ""
    this.source = source
    if (!data.source) return
    const isFirst = !this.feed
    this.feed ??= feedOf(data.feed)
    this.feed.members.add(this)
    // A busy browser reports late what is on the screen: a new chart looks by itself, and connects at once.
    if (isFirst && !this.near) this.near = isNear(this.element)
    if (isFirst && this.near && !this.feed.socket) this.feed.open()
    this.wake()
  }

  wake() {
    this.rests = false
    this.feed?.again(this)
  }

  // What to ask for; null for nothing.
  wants() {
    if (this.rests || !this.near || !this.source || this.element.clientWidth === 0) return null
    return { id: this.name(), source: this.data.source, have: this.version, visible: this.visible() }
  }

  visible() {
    return this.owner.visible?.() ?? null
  }

  // The same of all that show the same.
  name() {
    return nameOf(this.source + JSON.stringify(this.visible()))
  }

  // Whether what it has now is what the server takes it to have.
  takes(answer) {
    if (answer.steps) {
      if (answer.from && answer.from !== this.version) return answer.version === this.version
      this.version = answer.version
      this.rests = answer.rests
      if (answer.steps.length) this.owner.show(answer.steps)
    } else if (answer.gone) {
      this.rests = true // the page says so itself
    } else {
      this.fails(answer.error)
    }
    return true
  }

  fails(sentence) {
    this.owner.fails?.(sentence)
  }

  isUnreachable(url) {
    this.owner.fails?.(filled(this.data.words.unreachable, { url }))
  }

  tell() {
    this.owner.tell()
  }

  remove() {
    this.watching.disconnect()
    this.feed?.members.delete(this)
    this.feed?.soon(LEAVES_MS)
  }
}

function age(seconds, language) {
  const sizes = { day: 86400, hour: 3600, minute: 60, second: 1 }
  const unit = Object.keys(sizes).find((name) => seconds >= sizes[name]) ?? "second"
  const count = Math.max(0, Math.floor(seconds / sizes[unit]))
  return new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long", useGrouping: false }).format(count)
}

// A short name of a text, the same in every tab, so that the server writes one answer for all that show the same. FNV-1a.
function nameOf(text) {
  const halves = [0x811c9dc5, 0xc9dc5811]
  for (let at = 0; at < text.length; at += 1) {
    halves[0] = Math.imul(halves[0] ^ text.charCodeAt(at), 0x01000193)
    halves[1] = Math.imul(halves[1] ^ (text.charCodeAt(at) + at), 0x01000193)
  }
  return halves.map((half) => (half >>> 0).toString(36)).join("")
}

function feedOf(url) {
  const feeds = (window.__v3labFeeds ??= new Map())
  if (!feeds.has(url)) feeds.set(url, new Feed(url))
  return feeds.get(url)
}
