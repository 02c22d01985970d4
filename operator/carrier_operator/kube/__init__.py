"""The API server, over aiohttp: as small a client as lists, watches and patches need. Foreign errors become
ApiError.
"""
