// Handles of the future boundaries: over the plot, for mouse, touch and keyboard.
// Appended to live_chart.js by live_chart.py.

class BoundaryHandles {
  constructor(chart, overlay) {
    this.chart = chart
    this.overlay = overlay
    this.handles = new Map() // boundary index -> handle
    this.moving = false // the chart waits with drawing while somebody holds a handle
  }

  place() {
    const axis = this.chart.node._fullLayout?.xaxis
    const size = this.chart.node._fullLayout?._size
    const wanted = this.chart.data.editable ? (this.chart.figure.layout.meta?.boundaries ?? []) : []
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
        handle.episode = this.chart.data.wanted[boundary.index] ?? boundary.episode
      }
      this.placeOne(handle)
    }
  }

  // Episodes before the beginning of the axis.
  since() {
    return this.chart.figure.layout.meta?.since ?? 0
  }

  placeOne(handle) {
    const { xaxis: axis, _size: size } = this.chart.node._fullLayout
    const { boundary, element, episode } = handle
    const at = axis._offset + axis.l2p(episode - this.since())
    element.hidden = at < axis._offset - 1 || at > axis._offset + axis._length + 1
    element.style.left = `${at}px`
    element.style.top = `${size.t}px`
    element.style.height = `${size.h}px`
    element.classList.toggle("v3-moved", episode !== boundary.episode)
    element.classList.toggle("v3-left", at > axis._offset + axis._length - 110)
    element.querySelector("span").textContent = `${boundary.label}: ${episode.toLocaleString("en-US")}`
    element.setAttribute("aria-label", `Boundary ${boundary.label}`)
    element.setAttribute("aria-valuemin", boundary.earliest)
    element.setAttribute("aria-valuemax", boundary.latest)
    element.setAttribute("aria-valuenow", episode)
    element.setAttribute("aria-valuetext", `episode ${episode}`)
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
    }
    const end = (keep) => {
      if (!handle.moving) return
      handle.moving = this.moving = false
      clearTimeout(handle.timer)
      element.classList.remove("v3-moving")
      if (!keep) move(handle.before)
      else if (handle.episode !== handle.before) {
        handle.answer = this.chart.data.moves + 1
        this.chart.setTriggerValue("boundary", { index, episode: handle.episode })
      }
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
