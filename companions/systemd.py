"""A systemd unit for this machine: `--print-systemd-unit`."""

from __future__ import annotations

import argparse
import getpass
import re
import sys
from pathlib import Path

import kis_realtime_trading as bot

# Progress feeds the watchdog (see Trader._each_wall_second); the sandbox leaves the network, this
# folder (read only) and /var/lib/kisbot. Not tried on a server: MemoryDenyWriteExecute together
# with another build of the crypto wheel.
UNIT = """\
[Unit]
Description=KIS trading bot ({mode})
After=network-online.target time-sync.target
Wants=network-online.target
StartLimitIntervalSec=600
StartLimitBurst=5

[Service]
Type=notify
NotifyAccess=main
WatchdogSec=60
TimeoutStartSec=120
TimeoutStopSec=45
User={user}
WorkingDirectory={here}
StateDirectory=kisbot
StateDirectoryMode=0700
ExecStart={command}
Restart=on-failure
RestartSec=5
RestartPreventExitStatus={final}
UMask=0077
LimitCORE=0
MemoryMax=512M
TasksMax=64
ProtectHome=tmpfs
{binds}NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateIPC=yes
PrivateMounts=yes
ProtectSystem=strict
ProtectProc=invisible
ProcSubset=pid
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
SystemCallArchitectures=native
DevicePolicy=closed
KeyringMode=private
RemoveIPC=yes
SystemCallFilter=@system-service
SystemCallFilter=~@privileged @resources @mount @debug @cpu-emulation @obsolete @swap @reboot @raw-io @module @clock
SystemCallErrorNumber=EPERM

[Install]
WantedBy=multi-user.target
"""
HIDDEN_BY_PROTECT_HOME = ("/home/", "/root/", "/run/user/")


def _unit_word(text: str) -> str:
    """Quote a word of a unit file: blanks, quotes, % and $ have a meaning there."""
    text = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if re.search(r"[^\w@%+=:,./$-]", text) else text


def systemd_unit(options: argparse.Namespace) -> str:
    """Return a systemd unit that runs the bot as the present user, with the present settings."""
    config = (options.config or Path.cwd() / bot.SETTINGS_NAME).resolve()
    program = [sys.executable, "-I", str(bot.HERE / "kis_realtime_trading.py"), "--paper"]
    needed = {bot.HERE, config.parent, Path(sys.prefix), Path(sys.base_prefix)}
    hidden = sorted(str(p) for p in needed if f"{p}/".startswith(HIDDEN_BY_PROTECT_HOME))
    return UNIT.format(
        mode="paper",
        user=getpass.getuser(),
        here=str(bot.HERE).replace("%", "%%"),
        command=" ".join(_unit_word(word) for word in (*program, "--config", str(config))),
        final=f"{bot.EXIT_RUNNING} {bot.EXIT_JOURNAL} {bot.EXIT_SETTINGS}",
        binds="".join(f"BindReadOnlyPaths={_unit_word(path)}\n" for path in hidden),
    )
