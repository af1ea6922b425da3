"""An experiment as one HTML file that needs no network, with its data beside it."""

from v3core.report.gathering import gather as gather
from v3core.report.report_file import as_html as as_html
from v3core.report.report_file import write_report as write_report
