"""The MCP façade: the daemon's operations as tools of a language model, over stdio. No state, no rules, no cache.

server         the command: options, life
completion     the ids of sessions, offered while a person types
autostart      starts a daemon where none answers, once
stdio          keeps the protocol's stdout away from everybody else
sdk            the only module that knows the MCP SDK, 1.x and 2.x
facade         MCP requests to daemon calls, answers to results
progress       what can be said about a call while it lasts
tools          the table of tools: adding one is adding a row
instructions   what a model reads before it sees any tool
schemas        JSON schemas from the wire's structs
view           the page that shows a session in clients that embed pages
rendering      answers and errors as a model reads them
"""
