"""An extension for a server under test: kernels without a process, and news of them, on request.

POST feed {"call": "tell", "with": {"kernel": "a", "news": [["started", {}], ["answered", {}]]}}
"""

import dialogues
from jupyter_server.utils import url_path_join
from probe_extension import ProbeHandler


class FeedHandler(ProbeHandler):
    """Feeds the tracker."""

    @property
    def tracker(self):
        """Who is fed."""
        return self.settings["kernel_status"]

    async def do_add(self, kernels):
        """New kernels, asked for."""
        for kernel in kernels:
            self.tracker.add(kernel, "artificial")
        return {}

    async def do_tell(self, kernels, news, times=1, remove=False):
        """What happens to each of these kernels, so often, all in one turn of the loop."""
        made = [getattr(dialogues, name)(**facts) for name, facts in news]
        for kernel in kernels * times:
            for each in made:
                event = each.event(self.tracker.get(kernel), self.tracker.now())
                self.tracker.feed(kernel, event)
        return await self.do_remove(kernels if remove else [])

    async def do_remove(self, kernels):
        """Kernels that nobody knows any more."""
        for kernel in kernels:
            self.tracker.remove(kernel, "The test removed it.")
        return {}


def _jupyter_server_extension_points():
    return [{"module": "feeding_extension"}]


def _load_jupyter_server_extension(serverapp):
    route = url_path_join(serverapp.web_app.settings["base_url"], "feed")
    serverapp.web_app.add_handlers(".*$", [(route, FeedHandler)])
