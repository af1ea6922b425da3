// A button for each other language. What was chosen here, or by the address, is kept in a cookie of this browser.

const YEAR_SECONDS = 365 * 24 * 3600

function remember({ cookie }, code) {
  document.cookie = `${cookie}=${code}; path=/; max-age=${YEAR_SECONDS}; SameSite=Lax`
}

function addressIn({ parameter }, tag) {
  const url = new URL(window.location.href)
  url.searchParams.set(parameter, tag)
  return url
}

// The rest of the address stays, and with it what is chosen and zoomed.
function offerLanguages(place, data, trigger) {
  document.documentElement.lang = data.tag
  if (data.isAsked) remember(data, data.code)
  const buttons = data.others.map(({ code, tag, name }) => {
    const button = document.createElement("button")
    button.type = "button"
    button.className = "v3-language"
    button.lang = tag
    button.textContent = name
    button.onclick = () => {
      remember(data, code)
      window.history.replaceState(window.history.state, "", addressIn(data, tag))
      trigger("language", code)
    }
    return button
  })
  place.replaceChildren(...buttons)
}

// Streamlit knows the address as it was before a button was pressed, and writes that one when it changes the rest.
function keepLanguageOfAddress() {
  const { parameter, tag, isSwitched } = frame.language ?? {}
  const asked = parameter && new URL(window.location.href).searchParams.get(parameter)
  if (!isSwitched || !asked || asked === tag) return
  window.history.replaceState(window.history.state, "", addressIn(frame.language, tag))
}

// A link to another page of the dashboard, in the language that the address of this one names.
function inLanguage(url) {
  const parameter = frame.language?.parameter
  const chosen = parameter && new URL(window.location.href).searchParams.get(parameter)
  if (chosen && !url.searchParams.has(parameter)) url.searchParams.set(parameter, chosen)
  return url
}
