"""What Apprise's json:// posts to (github.com/caronc/apprise/wiki/Notify_Custom_JSON). The page shows this body:

{"version": "1.0", "title": "Some Great Software Created", "message": "…", "attachments": [], "type": "info"}
"""

from aiohttp import web

from tests.doubles.double import Double


class JsonTarget(Double):
    """`seen` has text, posted (the whole body) and path."""

    def routes(self, app: web.Application) -> None:
        app.router.add_route("*", "/{path:.*}", self.send)

    async def take(self, request: web.Request) -> web.StreamResponse:
        posted = await request.json()
        if posted.get("version") != "1.0" or not isinstance(posted.get("message"), str):
            return web.json_response({"error": "no notification"}, status=400)
        self.show(posted["message"], posted=posted, path=request.path)
        return web.json_response({})
