// Shows the progress and the newest numbers of a run, and keeps them up to date by the feed (live_chart_feed.js).

const shown = new WeakMap() // Streamlit's container -> Numbers

class Numbers {
  constructor(root) {
    this.root = root.querySelector(".v3-numbers")
    this.find = (name) => this.root.querySelector(`.v3-${name}`)
    this.member = new FeedMember(this.root, { show: (steps) => this.show(steps), tell: () => this.tell() })
  }

  update(data) {
    const isOther = this.data?.language !== data.language
    this.data = data
    this.find("progress").setAttribute("aria-label", data.words.progress)
    if (isOther) this.numbers = undefined // the page is read in another language now
    if (!this.numbers) this.show(data.first)
    this.member.update(data)
  }

  show(steps) {
    this.numbers = patched(this.numbers, steps)
    const { part, progress, tiles } = this.numbers
    const bar = this.find("progress")
    bar.setAttribute("aria-valuenow", part)
    bar.setAttribute("aria-valuetext", progress)
    bar.firstElementChild.style.width = `${100 * part}%`
    const place = this.find("tiles")
    while (place.children.length > tiles.length) place.lastElementChild.remove()
    tiles.forEach(({ label, value, help }, index) => {
      if (!place.children[index]) {
        const tile = document.createElement("div")
        tile.className = "v3-tile"
        tile.innerHTML = '<div class="v3-tile-label"></div><div class="v3-tile-value"></div>'
        place.appendChild(tile)
      }
      const tile = place.children[index]
      tile.title = help
      tile.children[0].textContent = label
      tile.children[1].textContent = value
    })
    this.tell()
  }

  // With ages, as of now.
  tell() {
    const { progress, heartbeat_at, ended_at, left } = this.numbers
    const { language, words } = this.data
    const ago = (moment) => ({ age: age(Date.now() / 1000 - moment, language) })
    const parts = [progress]
    if (heartbeat_at !== null) parts.push(filled(words.heartbeat, ago(heartbeat_at)))
    if (left) parts.push(left)
    if (ended_at !== null) parts.push(filled(words.ended, ago(ended_at)))
    const text = parts.join(" · ")
    const line = this.find("progress-text")
    if (line.textContent !== text) line.textContent = text
  }

  remove() {
    this.member.remove()
  }
}

export default function ({ data, parentElement }) {
  if (!shown.has(parentElement)) shown.set(parentElement, new Numbers(parentElement))
  const numbers = shown.get(parentElement)
  numbers.update(data)
  return () => {
    numbers.remove()
    shown.delete(parentElement)
  }
}
