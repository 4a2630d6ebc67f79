/**
 * The only place that plugs into JupyterLab: four plugins, each of which can be disabled alone.
 */

import { URLExt } from '@jupyterlab/coreutils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { IRunningSessionManagers } from '@jupyterlab/running';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { Token } from '@lumino/coreutils';

import { Current } from './current.js';
import { Notifier } from './notifications.js';
import { section } from './running.js';
import { whenServerPartIsSeen } from './server.js';
import { PLUGIN, Settings } from './settings.js';
import { KernelStates } from './states.js';
import { StatusItem } from './statusbar.js';
import { Stream } from './stream.js';

/** What the plugins share. */
const IKernelStatus = new Token('kernel-status-ext:IKernelStatus', 'What the kernels of the server do.');

/** Follows all kernels of the server. */
const states = {
  id: PLUGIN,
  description: 'Follows what the kernels of the server do.',
  autoStart: true,
  optional: [ISettingRegistry],
  provides: IKernelStatus,
  activate: (app, registry) => {
    const { serverSettings } = app.serviceManager;
    const [known, settings] = [new KernelStates(), new Settings()];
    const stream = new Stream(serverSettings, {
      tell: (event, data) => known.tell(event, data),
      lost: () => known.lost()
    });
    const open = () => stream.open(settings.figuresInterval);
    void Promise.all([app.serviceManager.ready, settings.follow(registry)]).then(() =>
      whenServerPartIsSeen(app.serviceManager.kernels, () => {
        settings.changed.connect(open);
        open();
      })
    );
    return { states: known, settings, page: URLExt.join(serverSettings.baseUrl, 'kernel-status') };
  }
};

/** Shows the current notebook's kernel in the status bar. */
const statusBarItem = {
  id: 'kernel-status-ext:status-bar',
  description: "Shows the current notebook's kernel in the status bar.",
  autoStart: true,
  requires: [IKernelStatus],
  optional: [INotebookTracker, IStatusBar],
  activate: (app, { states, settings, page }, notebooks, statusBar) => {
    if (!notebooks || !statusBar) {
      return;
    }
    const item = new StatusItem(states, new Current(app.shell, notebooks), settings, page);
    statusBar.registerStatusItem('kernel-status-ext:status-bar', {
      item,
      align: 'left',
      rank: 10,
      isActive: () => item.isActive,
      activeStateChanged: item.activeChanged
    });
  }
};

/** Lists the kernels in the Running panel, once the server has told of some. */
const runningSection = {
  id: 'kernel-status-ext:running',
  description: 'Lists the kernels with their states and reasons in the Running panel.',
  autoStart: true,
  requires: [IKernelStatus],
  optional: [IRunningSessionManagers],
  activate: (app, { states }, managers) => {
    const add = () => {
      if (states.hasBegun) {
        states.changed.disconnect(add);
        managers.add(section(states, app));
      }
    };
    if (managers) {
      states.changed.connect(add);
    }
  }
};

/** Says why a kernel died. */
const notifications = {
  id: 'kernel-status-ext:notifications',
  description: 'Notifies of kernels that die by themselves.',
  autoStart: true,
  requires: [IKernelStatus],
  optional: [INotebookTracker],
  activate: (app, { states, settings, page }, notebooks) => {
    new Notifier(states, settings, app, notebooks, page);
  }
};

export default [states, statusBarItem, runningSection, notifications];
