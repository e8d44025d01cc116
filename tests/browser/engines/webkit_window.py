"""
A browser of a few lines, for WebDriver to drive: WebKitGTK's own MiniBrowser is always in private mode when it is driven, and
a cache is best tested where it is kept. Run by the system's Python, which has the bindings: webkit_window.py FOLDER.
"""

import sys
from pathlib import Path

import gi

gi.require_version("Gtk", "3.0")
gi.require_version("WebKit2", "4.1")
from gi.repository import Gtk, WebKit2  # noqa: E402 - their versions have to be named first


class Browser:
    """Opens a window for each page that is asked for; keeps its files below *folder*, or nowhere."""

    def __init__(self, folder: Path | None) -> None:
        if folder is None:
            manager = WebKit2.WebsiteDataManager.new_ephemeral()
        else:
            manager = WebKit2.WebsiteDataManager(
                base_data_directory=str(folder / "data"), base_cache_directory=str(folder / "cache")
            )
        self.context = WebKit2.WebContext(website_data_manager=manager)
        self.context.connect("automation-started", self._started)
        if folder is not None:
            self.context.connect("download-started", self._downloads, folder)
        self.context.set_automation_allowed(True)

    def _started(self, _context: WebKit2.WebContext, session: WebKit2.AutomationSession) -> None:
        about = WebKit2.ApplicationInfo()
        about.set_name("WebKitGTK")
        about.set_version(
            WebKit2.get_major_version(), WebKit2.get_minor_version(), WebKit2.get_micro_version()
        )
        session.set_application_info(about)
        session.connect("create-web-view", self._window)

    def _window(self, _session: WebKit2.AutomationSession) -> WebKit2.WebView:
        view = WebKit2.WebView(web_context=self.context, is_controlled_by_automation=True)
        window = Gtk.Window()
        window.set_default_size(1280, 720)
        window.add(view)
        window.show_all()
        view.connect("close", lambda _: window.destroy())
        return view

    def _downloads(self, _context: WebKit2.WebContext, download: WebKit2.Download, folder: Path) -> None:
        def decide(download: WebKit2.Download, name: str) -> bool:
            download.set_destination((folder / "Downloads" / name).as_uri())
            return True

        download.connect("decide-destination", decide)


browser = Browser(Path(sys.argv[1]) if sys.argv[1:] else None)
Gtk.main()
