// Handles of the future boundaries: over the plot, for mouse, touch and keyboard.
// Appended to live_chart.js by live_chart.py.

class BoundaryHandles {
  constructor(chart, overlay) {
    this.chart = chart
    this.overlay = overlay
    this.handles = new Map() // boundary index -> handle
    this.moving = false // the chart waits with drawing while somebody holds a handle
    this.buttons = new HandleButtons(this)
  }

  place() {
    const axis = this.chart.node._fullLayout?.xaxis
    const size = this.chart.node._fullLayout?._size
    const { editing } = this.chart.data
    const wanted = editing ? (this.chart.figure.layout.meta?.boundaries ?? []) : []
    for (const [index, handle] of this.handles) {
      if (!wanted.some((boundary) => boundary.index === index)) {
        handle.element.remove()
        this.handles.delete(index)
      }
    }
    if (!axis || !size) return
    for (const boundary of wanted) {
      const handle = this.handles.get(boundary.index) ?? this.add(boundary.index)
      handle.boundary = boundary
      // Until the server has answered the last move, the line stays where it was dropped.
      if (!handle.moving && this.chart.data.moves >= (handle.answer ?? 0)) {
        handle.episode = editing.wanted[boundary.index] ?? boundary.episode
      }
      this.placeOne(handle)
    }
    this.buttons.place()
  }

  // Those that are not where the curriculum has them.
  moved() {
    return [...this.handles.values()].filter((handle) => handle.episode !== handle.boundary?.episode)
  }

  // Until the server has answered, they are where they were dropped.
  undo() {
    for (const handle of this.moved()) {
      handle.episode = handle.boundary.episode
      handle.answer = this.chart.data.moves + 1
      this.placeOne(handle)
    }
    this.buttons.place()
  }

  // Episodes before the beginning of the axis.
  since() {
    return this.chart.figure.layout.meta?.since ?? 0
  }

  placeOne(handle) {
    const { xaxis: axis, _size: size } = this.chart.node._fullLayout
    const { boundary, element, episode } = handle
    const { words } = this.chart
    const at = axis._offset + axis.l2p(episode - this.since())
    element.hidden = at < axis._offset - 1 || at > axis._offset + axis._length + 1
    element.style.left = `${at}px`
    element.style.top = `${size.t}px`
    element.style.height = `${size.h}px`
    element.classList.toggle("v3-moved", episode !== boundary.episode)
    element.classList.toggle("v3-left", at > axis._offset + axis._length - 110)
    element.querySelector("span").textContent = `${boundary.label}: ${episode.toLocaleString("en-US")}`
    element.setAttribute("aria-label", filled(words.boundary, { phases: boundary.label }))
    element.setAttribute("aria-valuemin", boundary.earliest)
    element.setAttribute("aria-valuemax", boundary.latest)
    element.setAttribute("aria-valuenow", episode)
    element.setAttribute("aria-valuetext", filled(words.episode, { episode }))
  }

  add(index) {
    const element = document.createElement("div")
    element.className = "v3-handle"
    element.tabIndex = 0
    element.setAttribute("role", "slider")
    element.setAttribute("aria-orientation", "horizontal")
    element.dataset.boundary = index
    element.innerHTML = "<i></i><span></span>"
    const handle = { element, index }
    const move = (episode) => {
      handle.episode = Math.round(Math.min(Math.max(episode, handle.boundary.earliest), handle.boundary.latest))
      this.placeOne(handle)
    }
    const begin = () => {
      if (!handle.moving) handle.before = handle.episode
      handle.moving = this.moving = true
      element.classList.add("v3-moving")
      this.buttons.place()
    }
    const end = (keep) => {
      if (!handle.moving) return
      handle.moving = this.moving = false
      clearTimeout(handle.timer)
      element.classList.remove("v3-moving")
      if (!keep) move(handle.before)
      else if (handle.episode !== handle.before) {
        handle.answer = this.chart.data.moves + 1
        this.latest = handle
        // With those moved before: their fields may not have reached the page yet, and would be sent back as they were.
        const others = this.moved().filter((other) => other !== handle)
        this.chart.setTriggerValue("boundary", [...others, handle].map(({ index, episode }) => ({ index, episode })))
      }
      this.buttons.place()
      enqueue(this.chart)
    }
    element.onpointerdown = (event) => {
      if (event.button !== 0) return
      event.preventDefault()
      element.focus({ preventScroll: true })
      element.setPointerCapture(event.pointerId)
      handle.grip = event.clientX - element.getBoundingClientRect().left
      begin()
    }
    element.onpointermove = (event) => {
      if (!element.hasPointerCapture(event.pointerId)) return
      const axis = this.chart.node._fullLayout.xaxis
      const left = this.overlay.getBoundingClientRect().left
      const half = element.offsetWidth / 2
      move(axis.p2l(event.clientX - left - handle.grip + half - axis._offset) + this.since())
    }
    element.onpointerup = () => end(true)
    element.onpointercancel = () => end(false)
    element.onblur = () => end(true)
    element.onkeydown = (event) => {
      const step = { ArrowLeft: -1, ArrowDown: -1, ArrowRight: 1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key]
      if (step) {
        event.preventDefault()
        begin()
        move(handle.episode + step * (event.shiftKey ? 10 : 1))
        clearTimeout(handle.timer)
        handle.timer = setTimeout(() => end(true), 800)
      } else if (event.key === "Enter") end(true)
      else if (event.key === "Escape") end(false)
    }
    this.handles.set(index, handle)
    this.overlay.appendChild(element)
    return handle
  }
}

// Apply and Undo of all boundaries that were moved, at the handle that was moved last.
class HandleButtons {
  constructor(handles) {
    this.handles = handles
    this.element = document.createElement("div")
    this.element.className = "v3-handle-buttons"
    this.element.setAttribute("role", "group")
    this.apply = document.createElement("button")
    this.undo = document.createElement("button")
    this.words = document.createElement("span")
    this.words.setAttribute("role", "status")
    this.apply.type = this.undo.type = "button"
    this.element.append(this.apply, this.undo, this.words)
    this.apply.onclick = () => this.act("apply", handles.moved().map(({ index, episode }) => ({ index, episode })))
    this.undo.onclick = () => {
      this.act("undo", true)
      handles.undo()
    }
  }

  act(event, value) {
    const { chart } = this.handles
    this.answer = chart.data.moves + 1
    chart.setTriggerValue(event, value)
    this.place()
  }

  place() {
    const { chart, moving, latest } = this.handles
    const { editing, moves, words: said } = chart.data
    this.element.setAttribute("aria-label", said.moved)
    this.undo.textContent = said.undo
    const moved = editing?.apply && !moving ? this.handles.moved() : []
    const at = moved.includes(latest) ? latest : moved.at(-1)
    if (!at || at.element.hidden) return this.leave()
    const isWaiting = moved.every(({ index, episode }) => editing.waiting[index] === episode)
    this.apply.textContent = editing.apply
    this.apply.disabled = this.undo.disabled = isWaiting || moves < (this.answer ?? 0)
    const words = isWaiting ? said.waiting : editing.problem
    if (this.words.textContent !== words) this.words.textContent = words
    // After its handle, where the tabulator key leads.
    if (at.element.nextSibling !== this.element) at.element.after(this.element)
    this.at = at
    const { clientWidth: width, clientHeight: height } = chart.overlay
    const [own, tall] = [this.element.offsetWidth, this.element.offsetHeight]
    const [x, y] = [parseFloat(at.element.style.left), parseFloat(at.element.style.top)]
    const below = y + parseFloat(at.element.style.height) / 2 + 20
    this.element.style.left = `${Math.max(4, Math.min(x - own / 2, width - own - 4))}px`
    this.element.style.top = `${Math.max(4, Math.min(below, height - tall - 4))}px`
  }

  leave() {
    if (!this.element.isConnected) return
    const hadFocus = this.element.contains(document.activeElement)
    this.element.remove()
    if (hadFocus && this.at.element.isConnected) this.at.element.focus({ preventScroll: true })
  }
}
