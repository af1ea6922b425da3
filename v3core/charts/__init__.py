"""Charts: plain data in, plotly figures out. No Streamlit, no store."""
